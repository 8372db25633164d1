"""One hash of all that would go out: what people approve is what is posted."""

import hashlib
import json


def fingerprint(
    *, video_sha256: str, cover_sha256: str, caption: str, ai_label: bool, account: str
) -> str:
    """SHA-256 (hex) over canonical JSON of the parts."""
    parts = {
        "account": account,
        "ai_label": ai_label,
        "caption": caption,
        "cover": cover_sha256,
        "video": video_sha256,
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()

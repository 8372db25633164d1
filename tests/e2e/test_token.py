"""A running bot renews its Instagram token, uses it from then on and shows it nowhere."""

import json
import stat
from datetime import UTC, datetime, timedelta

from bot.sandbox.instagram import InstagramSandbox


def app_of_the_sandbox():
    tokens = InstagramSandbox("any").tokens
    return {"META_APP_ID": tokens.app_id, "META_APP_SECRET": tokens.app_secret}


async def test_a_token_about_to_end_is_renewed_at_the_start_and_posts_with_the_new_one(open_night):
    async with open_night(**app_of_the_sandbox(), LOG_LEVEL="DEBUG") as night:
        first = night.instagram.tokens.known[night.instagram.token]
        first.kind, first.expires_at = "USER", datetime.now(UTC) + timedelta(hours=1)
        kept = night.data_dir / "secrets" / "instagram.json"
        await night.launch()
        await night.until(lambda: kept.exists() and json.loads(kept.read_bytes())["token"])
        first.revoked = True
        await night.approve(await night.draft(1))
        await night.ask(night.approver, "publish now", {"episode": 1})
        await night.until(lambda: night.instagram.posts)
        await night.stop()

    renewed = json.loads(kept.read_bytes())["token"]
    files = [path for path in night.folder.rglob("*") if path.is_file() and path != kept]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert night.log_file in files
    assert [path for path in files if renewed.encode() in path.read_bytes()] == []
    assert [path for path in files if first.value.encode() in path.read_bytes()] == []

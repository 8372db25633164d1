"""DATA_DIR/secrets/instagram.json: the token in use, when it is no longer META_ACCESS_TOKEN itself.

Mode 0600 in a folder of 0700, replaced as a whole and synced, in no backup of the database.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, ValidationError

from storage.files import write_atomically

log = logging.getLogger(__name__)

FILE_MODE, FOLDER_MODE = 0o600, 0o700


class KeptToken(BaseModel):
    """What is known of the token that came from one META_ACCESS_TOKEN.

    `token` is None as long as META_ACCESS_TOKEN itself is in use; `since` is when the one in use
    was first seen or made, `expires_at` None when nobody has said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: str
    token: SecretStr | None = None
    since: AwareDatetime
    expires_at: AwareDatetime | None = None


class TokenFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, given: SecretStr) -> KeptToken | None:
        """What is kept for this META_ACCESS_TOKEN; another one than before begins anew."""
        try:
            kept = KeptToken.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            # Without the error's text: it quotes the file.
            log.warning("%s cannot be read (%s) and is left out", self.path, type(error).__name__)
            return None
        return kept if kept.origin == origin_of(given) else None

    def write(self, kept: KeptToken) -> None:
        """OSError when it is not safe on the disk."""
        self.path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self.path.parent.chmod(FOLDER_MODE)
        facts = kept.model_dump(mode="json")
        facts["token"] = kept.token.get_secret_value() if kept.token else None
        write_atomically(self.path, json.dumps(facts, indent=2).encode(), mode=FILE_MODE)


def origin_of(given: SecretStr) -> str:
    """Tells one META_ACCESS_TOKEN from another without holding it."""
    return hashlib.sha256(given.get_secret_value().encode()).hexdigest()

"""Stored files, behind addresses that are signed and expire like the real ones."""

import hashlib
import hmac
import mimetypes
import secrets
from urllib.parse import quote

from aiohttp import web

from bot.sandbox.discord.state import Attachment, Clock

URL_LIFETIME_S = 24 * 3600


class Cdn:
    def __init__(self, clock: Clock) -> None:
        self.base_url = ""
        self._clock = clock
        self._key = secrets.token_bytes(16)
        self._files: dict[int, Attachment] = {}

    def store(
        self,
        channel_id: int,
        filename: str,
        data: bytes,
        description: str | None = None,
        *,
        is_ephemeral: bool = False,
    ) -> Attachment:
        kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        attachment = Attachment(
            self._clock.snowflake(), channel_id, filename, kind, data, description, is_ephemeral
        )
        self._files[attachment.id] = attachment
        return attachment

    def url(self, attachment: Attachment) -> str:
        issued = int(self._clock.now_s())
        expires = issued + URL_LIFETIME_S
        root = "ephemeral-attachments" if attachment.is_ephemeral else "attachments"
        name = quote(attachment.filename, safe="")
        path = f"/{root}/{attachment.channel_id}/{attachment.id}/{name}"
        signature = self._sign(attachment.id, expires, issued)
        return f"{self.base_url}{path}?ex={expires:x}&is={issued:x}&hm={signature}"

    async def serve(self, request: web.Request) -> web.Response:
        try:
            attachment = self._files[int(request.match_info["attachment_id"])]
            expires, issued = (int(request.query[name], 16) for name in ("ex", "is"))
            signature = request.query["hm"]
        except (KeyError, ValueError):
            raise web.HTTPNotFound from None
        is_signed = hmac.compare_digest(signature, self._sign(attachment.id, expires, issued))
        if not is_signed or self._clock.now_s() > expires:
            raise web.HTTPNotFound(text="This content is no longer available.")
        return web.Response(body=attachment.data, content_type=attachment.content_type)

    def _sign(self, attachment_id: int, expires: int, issued: int) -> str:
        text = f"{attachment_id}:{expires}:{issued}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

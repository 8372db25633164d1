"""Pictures that people send: from the modal or the message to the report with a contact sheet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import discord

from cogs._checks import has_role
from cogs._history import sent_before
from cogs._training_words import ADVICE, upload_embed, upload_mark
from cogs._troubles import troubles_logged
from cogs._votes import UNREACHABLE
from pipeline.errors import ProviderError, UserError
from pipeline.services.incoming import IncomingFile
from pipeline.services.uploads import MOST_FILES

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.services.uploads import Received, Uploads

log = logging.getLogger(__name__)

SHEET = "sheet.jpg"
OPEN_FOR_S = 3600.0
"""A form that nobody sends is forgotten after that."""
Say = Callable[..., Awaitable[discord.Message]]


class UploadDesk:
    """Receives pictures, and shows once what became of them."""

    def __init__(self, bot: StudioBot) -> None:
        self._bot = bot
        self._lock = asyncio.Lock()
        self._answering = 0
        """Uploads whose answer is on its way: they are reported in it, not beside it."""

    @property
    def _uploads(self) -> Uploads:
        return self._bot.studio.uploads

    async def repair(self) -> None:
        """After an absence: report what has ended meanwhile."""
        await self.report()

    async def receive(
        self, say: Say, character: str, files: Sequence[discord.Attachment], who: str
    ) -> None:
        """Take the files and answer with a message that becomes the report."""
        self._answering += 1
        try:
            job = await self._uploads.take(character, [_incoming(file) for file in files], who)
            received = await self._uploads.upload(job.id)
            message = await say(embed=upload_embed(received, 0, None))
            await self._uploads.posted(job.id, channel_id=message.channel.id, message_id=message.id)
        finally:
            self._answering -= 1
        await self.report()

    async def report(self) -> None:
        """Show how every upload has ended that nobody has been shown yet."""
        async with self._lock:
            for received in await self._uploads.untold():
                if received.message_id is None and self._answering:
                    continue  # its answer comes first, or the next look finds it
                with troubles_logged(log, f"job={received.job.id} upload not reported:"):
                    await self._report(received)

    async def _report(self, received: Received) -> None:
        count = len(await self._uploads.of(received.character))
        sheet = received.intake.sheet if received.intake is not None else None
        embed = upload_embed(received, count, SHEET if sheet else None)
        if not await self._edited(received, embed):
            await self._sent(received, embed)
        await self._uploads.told(received.job.id)

    async def _edited(self, received: Received, embed: discord.Embed) -> bool:
        """Whether the answer to the upload is still there to become its report."""
        if received.channel_id is None or received.message_id is None:
            return False
        channel = self._bot.get_partial_messageable(received.channel_id)
        message = channel.get_partial_message(received.message_id)
        try:
            await message.edit(embed=embed, attachments=self._files(received))
        except (discord.NotFound, discord.Forbidden) as error:
            log.info("job=%d the answer is gone (%s)", received.job.id, error)
            return False
        return True

    async def _sent(self, received: Received, embed: discord.Embed) -> None:
        channel = await self._bot.drafts.channel()
        if await sent_before(channel, self._bot.user, upload_mark(received)) is None:
            await channel.send(
                embed=embed, files=self._files(received), nonce=f"upload/{received.job.id}"
            )

    def _files(self, received: Received) -> list[discord.File]:
        """Opened anew for each request, which closes them."""
        if received.intake is None or received.intake.sheet is None:
            return []
        path = self._bot.studio.folder.resolve(received.intake.sheet)
        return [discord.File(path, filename=SHEET)]


class PictureModal(discord.ui.Modal):
    """Asks for up to ten files; who may send them is asked again when they come."""

    def __init__(self, bot: StudioBot, character: str) -> None:
        super().__init__(title=f"Pictures of {character}"[:45], timeout=OPEN_FOR_S)
        self._bot = bot
        self._character = character
        self.upload: discord.ui.FileUpload[Any] = discord.ui.FileUpload(
            min_values=1, max_values=MOST_FILES
        )
        self.add_item(
            discord.ui.Label(
                text=f"1 to {MOST_FILES} pictures, as JPEG, PNG or WebP",
                description=ADVICE,
                component=self.upload,
            )
        )

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        if not has_role(interaction.user, self._bot.studio.approver_role_id):
            raise UserError("This needs the role of those who approve; ask somebody who has it.")
        await interaction.response.defer(thinking=True)

        async def say(**content: Any) -> discord.Message:
            return await interaction.followup.send(**content, wait=True)

        await self._bot.uploads.receive(
            say, self._character, self.upload.values, str(interaction.user)
        )

    async def on_error(  # type: ignore[override]  # a form has no single item at fault
        self, interaction: discord.Interaction[Any], error: Exception
    ) -> None:
        await self._bot.tell_error(interaction, error)


def _incoming(attachment: discord.Attachment) -> IncomingFile:
    """Nothing is downloaded before its declared size was looked at."""

    async def read() -> bytes:
        try:
            return await attachment.read()
        except UNREACHABLE as error:
            raise ProviderError(
                "Discord", f"{attachment.filename} cannot be downloaded ({error})", True
            ) from error

    return IncomingFile(attachment.filename, attachment.size, read)

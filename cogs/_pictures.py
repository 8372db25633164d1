"""What a model drew for the library, as a message: judged by emoji, used after a yes only."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

import discord

from cogs._embeds import BLUE, plain, told
from cogs._history import sent_before
from cogs._troubles import REFUSALS, troubles_logged
from cogs._votes import Emoji, Given, is_same, seed
from storage.pitches import BoardState

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.services.pictures import PictureBoards, Shown
    from storage.picture_boards import PictureBoard

log = logging.getLogger(__name__)

NUMBERS = ("1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣", "6️⃣", "7️⃣", "8️⃣")
SHEET = "pictures.png"
LEGEND = (
    "A number crosses a picture out · ✅ takes the others into the library · ❌ takes none · "
    "🔁 draws others. They are shown as reactions and on covers; who speaks stays as it is."
)
TRY_AGAIN = "`/train drawings` draws them anew."


class Judgement(StrEnum):
    """What a reaction on a board asks for; of two the one that is first here."""

    NONE = "❌"
    TAKE = "✅"
    AGAIN = "🔁"


class PictureDesk:
    """Keeps the boards of pictures in step with the database; one thing at a time."""

    def __init__(self, bot: StudioBot) -> None:
        self._bot = bot
        self._lock = asyncio.Lock()

    @property
    def _boards(self) -> PictureBoards:
        return self._bot.studio.pictures

    async def repair(self) -> None:
        """After an absence: what is missing is drawn and posted, reactions are read back."""
        await self.go_on()
        async with self._lock:
            for board in await self._boards.open():
                with troubles_logged(log, f"pictures={board.id}"):
                    await self._bring_up_to_date(board)
        await self.go_on()

    async def go_on(self) -> None:
        """A job has ended: post the board it has made, or say that it failed."""
        async with self._lock:
            await self._boards.advance()
            for board in await self._boards.open():
                if board.message_id is None:
                    with troubles_logged(log, f"pictures={board.id}"):
                        await self._bring_up_to_date(board)
            for board in await self._boards.untold():
                with troubles_logged(log, f"pictures={board.id}"):
                    await self._tell_end(board)

    async def reacted(self, message_id: int) -> None:
        """A member with the role has judged: what the message says now is what counts."""
        async with self._lock:
            board = await self._boards.find(message_id)
            if board is not None and board.state is BoardState.OPEN:
                with troubles_logged(log, f"pictures={board.id}"):
                    await self._bring_up_to_date(board)
        await self.go_on()

    async def deleted(self, message_id: int) -> None:
        async with self._lock:
            if (board := await self._boards.find(message_id)) is not None:
                await self._boards.gone(board.id)

    async def _bring_up_to_date(self, board: PictureBoard) -> None:
        shown = await self._boards.shown(board.id)
        if board.message_id is None or board.channel_id is None:
            if not self._bot.studio.folder.resolve(board.sheet).is_file():
                await self._boards.lost(board.id)
                return
            channel_id, message_id = await self._post(shown)
        else:
            channel_id, message_id = board.channel_id, board.message_id
        emojis = (*NUMBERS[: len(shown.pictures)], *Judgement)
        given = await self._bot.votes.given(channel_id, message_id, emojis)
        if given is None:
            await self._boards.gone(board.id)
            return
        judgement = next((sign for sign in Judgement if given.by[sign]), None)
        if judgement is None:
            await seed(given.message, emojis)
        else:  # at once: adding reactions takes seconds, in which this one may be taken back
            await self._heed(judgement, shown, given)

    async def _heed(self, judgement: Judgement, shown: Shown, given: Given) -> None:
        who = await self._bot.votes.name(min(given.by[judgement]))
        try:
            if judgement is Judgement.AGAIN:
                await self._boards.again(shown.board.id, who)
            else:
                taken = _not_crossed_out(shown, given) if judgement is Judgement.TAKE else ()
                await self._boards.decide(shown.board.id, taken, who)
        except REFUSALS as error:
            await self._bot.drafts.tell(told(str(error)))

    async def _post(self, shown: Shown) -> tuple[int, int]:
        channel = await self._bot.drafts.channel()
        board = shown.board
        message = await sent_before(channel, self._bot.user, _mark(board))
        if message is None:
            sheet = self._bot.studio.folder.resolve(board.sheet)
            message = await channel.send(
                content=_headline(shown),
                embed=_embed(shown),
                file=discord.File(sheet, filename=SHEET),
                # A repeat within minutes returns the first message instead of a second one.
                nonce=f"pictures/{board.id}",
            )
        await self._boards.posted(board.id, channel_id=channel.id, message_id=message.id)
        return channel.id, message.id

    async def _tell_end(self, board: PictureBoard) -> None:
        """A board that has a message says it there; a failure is told in the channel."""
        shown = await self._boards.shown(board.id)
        if board.state is BoardState.FAILED:
            why = plain(board.ended, 1500)
            await self._bot.drafts.tell(f"No pictures of {shown.character}: {why} {TRY_AGAIN}")
        elif board.channel_id is not None and board.message_id is not None:
            channel = self._bot.get_partial_messageable(board.channel_id)
            with suppress(discord.NotFound):
                message = channel.get_partial_message(board.message_id)
                await message.edit(content=_headline(shown))
        await self._boards.told(board.id)


def is_judgement(emoji: Emoji) -> bool:
    return any(is_same(sign.value, emoji) for sign in Judgement)


def _not_crossed_out(shown: Shown, given: Given) -> list[int]:
    numbers = [picture.number for picture in shown.pictures]
    return [number for number in numbers if not given.by[NUMBERS[number - 1]]]


def _headline(shown: Shown) -> str:
    board = shown.board
    if board.state is not BoardState.OPEN:
        return f"**Pictures {board.id} of {shown.character}.** {plain(board.ended, 300)}."
    return f"**Pictures {board.id}: {shown.character}, drawn by the model.** {LEGEND}"


def _embed(shown: Shown) -> discord.Embed:
    lines = [
        f"{NUMBERS[picture.number - 1]} {picture.emotion} · {picture.score:.0%}"
        for picture in shown.pictures
    ]
    embed = discord.Embed(description="\n".join(lines), colour=BLUE)
    embed.set_image(url=f"attachment://{SHEET}")
    embed.set_footer(text=_mark(shown.board))
    return embed


def _mark(board: PictureBoard) -> str:
    """How a board of ours is known again; its time tells it from one of another database."""
    return f"pictures {board.id} · {board.created_at:%Y-%m-%d %H:%M:%S} UTC"

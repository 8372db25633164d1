"""Boards of pitches in the approval channel: posted once, chosen from by emoji, repaired."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import discord

from cogs._embeds import BLUE, GREY, budget_text, plain, told
from cogs._history import sent_before
from cogs._troubles import troubles_logged
from cogs._votes import UNKNOWN_MESSAGE, UNREACHABLE, Emoji, Sign, is_same, seed, sign_of
from pipeline.errors import UserError
from storage.errors import StorageError
from storage.pitches import BoardState

if TYPE_CHECKING:
    from bot.client import StudioBot
    from pipeline.services.pitching import Chosen
    from storage.pitches import Board, BoardPitch
    from storage.records import Job

log = logging.getLogger(__name__)

NUMBERS = ("1️⃣", "2️⃣", "3️⃣", "4️⃣", "5️⃣")
LEGEND = "A number makes a reel of it · 🔁 others — or `/script choose`, `/script pitch`"
TRY_AGAIN = "`/script pitch` tries again."


class PitchDesk:
    """Keeps the boards in the channel in step with the database."""

    def __init__(self, bot: StudioBot) -> None:
        self._bot = bot
        self._pitching = bot.studio.pitching
        self._posting = asyncio.Lock()
        self._showing = asyncio.Lock()

    async def repair(self) -> None:
        """After an absence: reactions read back, deleted boards closed, missing ones posted."""
        for board in await self._pitching.open():
            if board.message_id is not None:
                with troubles_logged(log, f"pitches={board.id}"):
                    await self._bring_up_to_date(board)
        await self._pitching.close_stale()
        await self.go_on()

    async def go_on(self) -> None:
        """A job has ended: post the board it has made, or say that it failed."""
        await self._pitching.advance()
        await self._catch_up()

    async def waits(self, job: Job) -> None:
        """Say that the pitches of a job wait for the budget, where they were asked for."""
        for board in await self._pitching.made_by(job.id):
            with troubles_logged(log, f"pitches={board.id}"):
                text = f"Pitches {board.id} wait for the budget. {budget_text(job)}"
                await self._say(board, text)

    async def reacted(self, emoji: Emoji, board: Board, who: str) -> None:
        """What a member with the role asks for with a reaction on a board."""
        if board.state is not BoardState.OPEN:
            return
        number = number_of(emoji)
        try:
            if number is not None:
                await self.choose(board.id, number, who)
            elif sign_of(emoji) is Sign.AGAIN:
                await self.again(board.id, who)
        except (UserError, StorageError) as error:
            await self._bot.drafts.tell(told(str(error)))

    async def choose(self, board_id: int, number: int, who: str) -> Chosen:
        """Make a reel of a pitch, and show that it is being made."""
        chosen = await self._pitching.choose(board_id, number, who)
        if chosen.is_new:
            await self.show(board_id)
            view = await self._bot.studio.episodes.view(chosen.episode_id)
            await self._bot.progress.begin(await self._bot.drafts.channel(), view.episode)
        return chosen

    async def again(self, board_id: int, who: str) -> None:
        """Five others; harmless on a board that is closed."""
        if await self._pitching.again(board_id, who) is not None:
            await self.show(board_id)

    async def show(self, board_id: int) -> None:
        """Make the message of a board say what is true now."""
        async with self._showing:  # else an older text could arrive last
            board = await self._pitching.board(board_id)
            if board.channel_id is None or board.message_id is None:
                return
            pitches = await self._pitching.pitches(board_id)
            with suppress(*UNREACHABLE):
                await self._message(board).edit(
                    content=_headline(board), embed=_embed(board, pitches)
                )
                if board.state is not BoardState.OPEN:
                    await self._pitching.told(board_id)

    async def _catch_up(self) -> None:
        """Post what is not posted yet, and show or say what has ended."""
        async with self._posting:
            for board in await self._pitching.open():
                if board.message_id is None:
                    with troubles_logged(log, f"pitches={board.id}"):
                        await self._post(board)
            for board in await self._pitching.untold():
                with troubles_logged(log, f"pitches={board.id}"):
                    await self._tell_end(board)

    async def _post(self, board: Board) -> None:
        channel = await self._bot.drafts.channel()
        found = await sent_before(channel, self._bot.user, _mark(board))
        message = found or await channel.send(
            content=_headline(board),
            embed=_embed(board, await self._pitching.pitches(board.id)),
            # A repeat within minutes returns the first message instead of a second one.
            nonce=f"pitches/{board.id}",
        )
        board = await self._pitching.posted(board.id, channel_id=channel.id, message_id=message.id)
        # Also reads back: somebody may have been faster than the note above.
        await self._bring_up_to_date(board)

    async def _bring_up_to_date(self, board: Board) -> None:
        pitches = await self._pitching.pitches(board.id)
        try:
            message = await self._message(board).fetch()
            await seed(message, (*NUMBERS[: len(pitches)], Sign.AGAIN.value))
            wishes = await self._wishes(message, pitches)
        except discord.NotFound as error:
            if error.code != UNKNOWN_MESSAGE:
                raise
            await self._pitching.gone(board.id)
            return
        for number, who in wishes.items():
            # One topic that is used by now stops no other.
            with troubles_logged(log, f"pitches={board.id}"):
                await self.choose(board.id, number, who)
        asks_again = await self._bot.votes.approver_with(message, Sign.AGAIN.value)
        if asks_again is not None:
            await self.again(board.id, str(asks_again))

    async def _wishes(self, message: discord.Message, pitches: list[BoardPitch]) -> dict[int, str]:
        """Who has asked for which pitch that is not being made yet."""
        wishes = {}
        for pitch in pitches:
            if pitch.episode_id is None:
                emoji = NUMBERS[pitch.number - 1]
                if (user := await self._bot.votes.approver_with(message, emoji)) is not None:
                    wishes[pitch.number] = str(user)
        return wishes

    async def _tell_end(self, board: Board) -> None:
        """A board that has a message shows it there; a failure is told where it was asked."""
        if board.state is BoardState.FAILED:
            await self._say(board, f"No pitches: {plain(board.ended, 1500)} {TRY_AGAIN}")
        elif board.message_id is not None:
            await self.show(board.id)
            return
        await self._pitching.told(board.id)

    async def _say(self, board: Board, text: str) -> None:
        home = self._bot.studio.approval_channel_id
        try:
            await self._bot.get_partial_messageable(board.asked_in or home).send(text)
        except (discord.Forbidden, discord.NotFound):
            await self._bot.get_partial_messageable(home).send(text)

    def _message(self, board: Board) -> discord.PartialMessage:
        assert board.channel_id is not None
        assert board.message_id is not None
        channel = self._bot.get_partial_messageable(board.channel_id)
        return channel.get_partial_message(board.message_id)


def number_of(emoji: Emoji) -> int | None:
    """The pitch that a reaction means; None for any other emoji."""
    return next((n for n, own in enumerate(NUMBERS, 1) if is_same(own, emoji)), None)


def _headline(board: Board) -> str:
    if board.state is not BoardState.OPEN:
        return f"**Pitches {board.id} are closed.** {plain(board.ended, 300)}."
    why = f" {plain(board.reason, 300)}" if board.reason else ""
    return f"**Pitches {board.id}: what shall we make?**{why} {LEGEND}"


def _embed(board: Board, pitches: Sequence[BoardPitch]) -> discord.Embed:
    embed = discord.Embed(colour=BLUE if board.state is BoardState.OPEN else GREY)
    for pitch in pitches:
        made = f" → episode {pitch.episode_id}" if pitch.episode_id else ""
        embed.add_field(
            name=f"{NUMBERS[pitch.number - 1]} {_one_line(pitch.topic, 150)}{made}",
            value=_pitch_text(pitch),
            inline=False,
        )
    embed.set_footer(text=_mark(board))
    return embed


def _pitch_text(pitch: BoardPitch) -> str:
    """At most 1,000 of the 1,024 characters that a field may have."""
    lines = [f"“{_one_line(pitch.hook)}”", f"… “{_one_line(pitch.last_line)}”"]
    if pitch.why:
        lines.append(f"*{_one_line(pitch.why)}*")
    return "\n".join(lines)


def _one_line(text: str, limit: int = 320) -> str:
    return plain(" ".join(text.split()), limit)


def _mark(board: Board) -> str:
    """How a board of ours is known again; its time tells it from one of another database."""
    return f"pitches {board.id} · {board.created_at:%Y-%m-%d %H:%M:%S} UTC"

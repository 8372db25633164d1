"""What people can ask for about pitches: a board of them, a reel of one, five others.

A board is made by one job, or by two when the sources must be asked first; `advance` brings every
board to where its job is, so it does not matter who missed what. Nothing is voiced before
somebody has chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.engine import Engine
from pipeline.errors import UserError
from pipeline.facts import Topics
from pipeline.sections import Premise
from pipeline.services.bookkeeping import Bookkeeping, spoils_at
from pipeline.services.episodes import EpisodeService
from pipeline.services.trends import TrendService
from storage.database import Database
from storage.jobs import Jobs
from storage.pitches import ALIVE, Board, BoardPitch, BoardState, PitchBoards
from storage.states import JobState

log = logging.getLogger(__name__)

MOST_PITCHES = 5
STALE_AFTER = timedelta(hours=20)
"""Less than a day: tomorrow's pitches find today's board closed, at whatever hour they come."""
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class Chosen:
    """`is_new` is False when somebody else was faster; the episode is theirs then."""

    episode_id: int
    is_new: bool


class Pitching:
    """`who` is how the history names a person; who may choose is checked by the caller."""

    def __init__(
        self,
        *,
        db: Database,
        engine: Engine,
        episodes: EpisodeService,
        trends: TrendService,
        bookkeeping: Bookkeeping,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._engine = engine
        self._episodes = episodes
        self._trends = trends
        self._bookkeeping = bookkeeping
        self._clock = clock
        self._jobs = Jobs(db)
        self._boards = PitchBoards(db)

    # What people ask for

    async def ask(
        self,
        count: int,
        who: str,
        *,
        asked_in: int | None = None,
        reason: str = "",
        replaces: int | None = None,
    ) -> Board:
        """A new board, whose job is on its way; the sources are asked first if need be."""
        if not 1 <= count <= MOST_PITCHES:
            raise UserError(f"A board has 1 to {MOST_PITCHES} pitches, not {count}.")
        async with self._db.transaction():
            board = await self._boards.create(
                count=count,
                requested_by=who,
                asked_in=asked_in,
                reason=reason,
                replaces=replaces,
                now=self._clock(),
            )
            await self._begin(board)
        return await self._boards.get(board.id)

    async def again(self, board_id: int, who: str) -> Board | None:
        """Close a board and make another one, of other topics; None when it was closed before."""
        async with self._db.transaction():
            board = await self._boards.get(board_id)
            if board.state is not BoardState.OPEN:
                return None
            await self._boards.end(
                board_id, BoardState.CLOSED, f"Others were asked for by {who}, and are on their way"
            )
            return await self.ask(board.count, who, replaces=board_id)

    async def choose(self, board_id: int, number: int, who: str) -> Chosen:
        """Make a reel of a pitch; the second of two wishes for the same one finds it made."""
        async with self._db.transaction():
            board, pitch = await self._choosable(board_id, number)
            if pitch.episode_id is not None:
                return Chosen(pitch.episode_id, is_new=False)
            best_before = spoils_at(pitch.source, board.created_at)
            if best_before is not None and best_before <= self._clock():
                raise UserError(f"{pitch.topic} is no longer news; `/script pitch` asks anew.")
            episode = await self._episodes.make_of_premise(
                pitch.topic,
                Premise(hook=pitch.hook, last_line=pitch.last_line),
                who,
                source=pitch.source,
                headlines=pitch.headlines,
                best_before=best_before,
            )
            await self._boards.take(board_id, number, episode.id)
            if all(p.episode_id for p in await self._boards.pitches(board_id)):
                await self._boards.end(board_id, BoardState.CLOSED, "All of them are being made")
        return Chosen(episode.id, is_new=True)

    async def newest_open(self) -> Board:
        """The board a number without a board means; UserError when there is none."""
        boards = await self.open()
        if not boards:
            raise UserError("No pitches are open; `/script pitch` asks for new ones.")
        return boards[-1]

    # What is shown

    async def find(self, message_id: int) -> Board | None:
        """The board that a message shows, whatever its state."""
        return await self._boards.of_message(message_id)

    async def board(self, board_id: int) -> Board:
        return await self._boards.get(board_id)

    async def pitches(self, board_id: int) -> list[BoardPitch]:
        return await self._boards.pitches(board_id)

    async def open(self) -> list[Board]:
        """Those that people can choose from, the oldest first."""
        return await self._boards.in_state(BoardState.OPEN)

    async def made_by(self, job_id: int) -> list[Board]:
        """Those that the job is writing the pitches of."""
        return [
            board
            for board in await self._boards.in_state(BoardState.MAKING)
            if board.job_id == job_id
        ]

    async def is_any_alive(self) -> bool:
        """Whether people have pitches to choose from, or will have soon."""
        return bool(await self._boards.in_state(BoardState.MAKING, BoardState.OPEN))

    async def untold(self) -> list[Board]:
        """Boards that have ended without anybody having been shown that."""
        return await self._boards.untold()

    async def posted(self, board_id: int, *, channel_id: int, message_id: int) -> Board:
        """Remember the message that shows a board."""
        return await self._boards.posted(board_id, channel_id=channel_id, message_id=message_id)

    async def told(self, board_id: int) -> None:
        """People have been shown that it has ended."""
        await self._boards.told(board_id, now=self._clock())

    async def gone(self, board_id: int) -> None:
        """Somebody has deleted the message, so nobody can choose any more."""
        if await self._boards.end(board_id, BoardState.CLOSED, "Its message was deleted"):
            log.info("pitches=%d closed: their message was deleted", board_id)
        await self.told(board_id)

    # What follows by itself

    async def advance(self) -> None:
        """Bring boards in the making to where their jobs are."""
        for board in await self._boards.in_state(BoardState.MAKING):
            await self._advance(board.id)

    async def close_stale(self) -> None:
        """Close boards of yesterday; read their reactions back first.

        Those that still wait for their pitches, say for the budget, are not worth paying for.
        """
        for board in await self._boards.in_state(*ALIVE):
            if board.created_at + STALE_AFTER > self._clock():
                continue
            if board.state is BoardState.OPEN:
                await self._boards.end(board.id, BoardState.CLOSED, "Their topics have gone stale")
            else:
                await self._give_up(board.id)

    async def _give_up(self, board_id: int) -> None:
        async with self._db.transaction():
            board = await self._boards.get(board_id)
            job = None if board.job_id is None else await self._jobs.get(board.job_id)
            if board.state is not BoardState.MAKING or (job and job.state is not JobState.QUEUED):
                return
            await self._fail(board, "Their topics have gone stale before they could be pitched.")
            if job and job.stage == "pitches":  # others may wait for a fetch, and it costs nothing
                await self._engine.cancel(job.id)

    async def _advance(self, board_id: int) -> None:
        async with self._db.transaction():
            board = await self._boards.get(board_id)
            if board.state is not BoardState.MAKING:
                return
            job = None if board.job_id is None else await self._jobs.get(board.job_id)
            if job is None:
                await self._begin(board)
            elif job.state in UNDER_WAY:
                return
            elif job.state is not JobState.SUCCEEDED:
                await self._fail(board, job.error or "Somebody has stopped the job.")
            elif job.stage == "trends":
                await self._begin(board, has_fetched=True)
            else:  # the job's own transaction opens the board, so somebody else has its pitches
                await self._fail(board, "The pitches were lost.")

    async def _begin(self, board: Board, *, has_fetched: bool = False) -> None:
        """Queue what a board needs next: its pitches, or a fetch when topics of today are missing.

        One board is pitched at a time, so that no two share a topic; the others wait.
        """
        if await self._is_pitching():
            return
        topics = await self._topics(board)
        if topics.topics and (has_fetched or await self._trends.are_of_today()):
            # The topics are fixed here, so that every attempt pitches the same ones.
            job = await self._engine.queue("pitches", facts={"topics": topics})
            await self._boards.set_job(board.id, job.id)
        elif has_fetched:
            await self._fail(board, "Every topic of today is used, refused or pitched already.")
        else:
            await self._boards.set_job(board.id, (await self._trends.fetch()).id)

    async def _is_pitching(self) -> bool:
        ids = {board.job_id for board in await self._boards.in_state(BoardState.MAKING)}
        open_jobs = await self._jobs.open()
        return any(job.stage == "pitches" and job.id in ids for job in open_jobs)

    async def _fail(self, board: Board, why: str) -> None:
        await self._boards.end(board.id, BoardState.FAILED, why)
        log.warning("pitches=%d failed: %s", board.id, why)

    async def _topics(self, board: Board) -> Topics:
        """What it may be about: nothing people can choose elsewhere or did not like just now."""
        exclude = await self._boards.pitched_topics()
        earlier = board.replaces
        while earlier is not None:
            exclude |= {pitch.topic for pitch in await self._boards.pitches(earlier)}
            earlier = (await self._boards.get(earlier)).replaces
        return await self._bookkeeping.topics(board.count, exclude)

    async def _choosable(self, board_id: int, number: int) -> tuple[Board, BoardPitch]:
        board = await self._boards.get(board_id)
        if board.state is not BoardState.OPEN:
            why = f" {board.ended}." if board.ended else ""
            raise UserError(f"Pitches {board_id} are {board.state}.{why}")
        pitches = await self._boards.pitches(board_id)
        for pitch in pitches:
            if pitch.number == number:
                return board, pitch
        raise UserError(f"Pitches {board_id} have the numbers 1 to {len(pitches)}, not {number}.")

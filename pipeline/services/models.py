"""Which checkpoint becomes the model of a character: votes, promotion, and the way back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass
from datetime import datetime

from pipeline.errors import UserError
from pipeline.executors import CallFailed, Executor, WorkerDied, WorkerTimeout
from pipeline.promotion import Promoted, promote
from pipeline.shows import Show
from storage.database import Database
from storage.decisions import Door
from storage.folder import DataFolder
from storage.promotions import Promotions
from storage.records import Promotion, TrainingRun, Validation
from storage.training_runs import TrainingRuns
from storage.validations import Validations

log = logging.getLogger(__name__)

PROMOTE_TIMEOUT_S = 600.0
"""A full checkpoint is some 4 GB to hash, and to copy where it cannot be linked."""


@dataclass(frozen=True)
class Standing:
    """The votes for a checkpoint; reactions on one whose `validation` has ended do not count.

    `promotion` is the one that these votes have just brought about.
    """

    validation: Validation
    voters: frozenset[int]
    needed: int
    promotion: Promotion | None = None


class Models:
    """`on_promoted` is told of each promotion once it stands; `is_approver` asks Discord."""

    def __init__(
        self,
        *,
        db: Database,
        folder: DataFolder,
        show: Show,
        executor: Executor,
        approvals_needed: int,
        is_approver: Callable[[int], Awaitable[bool]],
        clock: Callable[[], datetime],
        on_promoted: Callable[[Promotion], Awaitable[object]] | None = None,
    ) -> None:
        self._db = db
        self._folder = folder
        self._show = show
        self._executor = executor
        self._needed = approvals_needed
        self._is_approver = is_approver
        self._on_promoted = on_promoted
        self._clock = clock
        self._runs = TrainingRuns(db)
        self._validations = Validations(db)
        self._promotions = Promotions(db)
        self._promoting = asyncio.Lock()

    async def in_use(self) -> list[Promotion]:
        return await self._promotions.in_use()

    async def standing(self, run_id: int, step: int) -> Standing:
        validation = await self._validations.get(run_id, step)
        return Standing(validation, await self._voters(run_id, step), self._needed)

    async def sync_votes(self, run_id: int, step: int, approvers: frozenset[int]) -> Standing:
        """Make these the votes by reaction; of a checkpoint that has ended nothing changes."""
        async with self._db.transaction():
            if (await self._validations.get(run_id, step)).ended:
                return await self.standing(run_id, step)
            now = self._clock()
            await self._validations.match(run_id, step, approvers, door=Door.REACTION, now=now)
        return await self._decide(run_id, step, known=approvers)

    async def vote(self, run_id: int, step: int, user_id: int) -> Standing:
        """By command, which also counts for a checkpoint that has ended."""
        async with self._db.transaction():
            run = await self._runs.get(run_id)
            await self._validations.get(run_id, step)
            if self._is_of(await self._promotions.current(run.character), run_id, step):
                raise UserError(f"{run.name} at step {step} is the model of {run.character}.")
            now = self._clock()
            await self._validations.vote(run_id, step, user_id, door=Door.COMMAND, now=now)
        return await self._decide(run_id, step, known={user_id})

    async def back(self, character: str, who: str) -> Promotion | None:
        """The model before is in use again; None when there is none, and the rig draws alone."""
        name = self._show.character(character).name
        async with self._db.transaction():
            current = await self._promotions.current(name)
            if current is None:
                raise UserError(f"{name} has no model in use; `/train promote` chooses one.")
            await self._promotions.end(current.id, who=who, now=self._clock())
            await self._validations.forget_votes(current.run_id, current.step)
            before = await self._promotions.current(name)
        log.info("promotion=%d of %s ended by %s", current.id, name, who)
        return before

    async def close(self, run_id: int, step: int, reason: str) -> None:
        """The reactions on its message count no more, those of before neither."""
        async with self._db.transaction():
            if await self._validations.end(run_id, step, reason):
                about, now = (run_id, step, frozenset[int]()), self._clock()
                await self._validations.match(*about, door=Door.REACTION, now=now)

    async def _decide(self, run_id: int, step: int, *, known: Set[int]) -> Standing:
        """Promote what enough people want; one at a time, so that nothing happens twice.

        That those who are `known` have the role was seen just now.
        """
        async with self._promoting:
            run = await self._runs.get(run_id)
            standing = await self.standing(run_id, step)
            if len(standing.voters) < self._needed or await self._is_in_use(run, step):
                return standing
            if await self._withdraw_former(run_id, step, standing.voters - known):
                standing = await self.standing(run_id, step)
                if len(standing.voters) < self._needed:
                    return standing
            promoted = await self._promote(run, step)
            promotion = await self._store(run, step, promoted)
        if promotion is not None:
            await self._tell(promotion)
        standing = await self.standing(run_id, step)
        return Standing(standing.validation, standing.voters, self._needed, promotion)

    async def _withdraw_former(self, run_id: int, step: int, voters: Set[int]) -> bool:
        """Whether any of them has lost the role since, and the vote with it."""
        former = {user for user in voters if not await self._is_approver(user)}
        for user in former:
            for door in Door:
                await self._validations.withdraw(run_id, step, user, door=door)
        return bool(former)

    async def _promote(self, run: TrainingRun, step: int) -> Promoted:
        run_folder = self._folder.resolve(f"models/{run.name}")
        future = self._executor.submit(promote, str(run_folder), step, timeout_s=PROMOTE_TIMEOUT_S)
        try:
            promoted: Promoted = await asyncio.wrap_future(future)
        except CallFailed as error:
            log.exception("training=%s step=%d cannot be promoted", run.name, step)
            raise self._not_promoted(run, step, "the log has the details") from error
        except (WorkerDied, WorkerTimeout) as error:
            raise self._not_promoted(run, step, "its process was ended; try again") from error
        if promoted.refusal:
            raise UserError(promoted.refusal)
        return promoted

    def _not_promoted(self, run: TrainingRun, step: int, why: str) -> UserError:
        return UserError(f"{run.name} at step {step} could not be promoted; {why}.")

    async def _store(self, run: TrainingRun, step: int, promoted: Promoted) -> Promotion | None:
        """None when people have changed their minds while it was made."""
        async with self._db.transaction():
            votes = await self._validations.votes(run.id, step)
            if len({user for user, _ in votes}) < self._needed:
                return None
            who = ", ".join(f"user {user} by {door}" for user, door in votes)
            # Votes for a model that is put aside are spent: it comes back by new ones only.
            if before := await self._promotions.current(run.character):
                await self._validations.forget_votes(before.run_id, before.step)
            promotion = await self._promotions.add(
                character=run.character,
                run_id=run.id,
                step=step,
                path=f"models/{run.name}/{promoted.folder}",
                sha256=promoted.sha256,
                who=who,
                now=self._clock(),
            )
            await self._validations.end(run.id, step, f"Promoted by {who}")
        log.info("promotion=%d training=%s step=%d by %s", promotion.id, run.name, step, who)
        return promotion

    async def _tell(self, promotion: Promotion) -> None:
        if self._on_promoted is None:
            return
        try:
            await self._on_promoted(promotion)
        except Exception:
            # It stands, whatever becomes of the pictures that are drawn with it.
            log.exception("promotion=%d what follows has failed", promotion.id)

    async def _is_in_use(self, run: TrainingRun, step: int) -> bool:
        return self._is_of(await self._promotions.current(run.character), run.id, step)

    def _is_of(self, promotion: Promotion | None, run_id: int, step: int) -> bool:
        return promotion is not None and (promotion.run_id, promotion.step) == (run_id, step)

    async def _voters(self, run_id: int, step: int) -> frozenset[int]:
        return frozenset(user for user, _ in await self._validations.votes(run_id, step))

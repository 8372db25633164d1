"""What people can ask for about training: a run, a pause, which checkpoint is promoted.

One run at a time. A run's row is the truth of what people want (`state`); its process follows.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage.records import Promotion, TrainingRun, Validation


@dataclass(frozen=True)
class TrainingStatus:
    """`run` is the one under way, else the newest; `promotions` are the models in use."""

    run: TrainingRun | None
    runs: tuple[TrainingRun, ...]
    """The newest first."""
    promotions: tuple[Promotion, ...]


@dataclass(frozen=True)
class Standing:
    """The votes for a checkpoint; those for one whose `validation` has ended do not count.

    `promotion` is the one that these votes have just brought about.
    """

    validation: Validation
    voters: frozenset[int]
    needed: int
    promotion: Promotion | None = None


class Training:
    """`who` is how the history names a person; who may is checked by the caller.

    What cannot be done is a UserError or InvalidTransition, one sentence each.
    """

    # What people ask for

    async def start(
        self, character: str, *, base: str | None = None, steps: int | None = None, who: str
    ) -> TrainingRun:
        """A new run, which begins at once; its `note` says with how many pictures.

        `base` is a folder in DATA_DIR/bases, the only one there is if none is given.
        """
        raise NotImplementedError

    async def pause(self, who: str, *, run_id: int | None = None) -> TrainingRun:
        """Save at the next step and wait to be resumed; without an id the run under way."""
        raise NotImplementedError

    async def resume(self, who: str, *, run_id: int | None = None) -> TrainingRun:
        """Go on from the newest checkpoint; without an id the newest run that can."""
        raise NotImplementedError

    async def stop(self, who: str, *, run_id: int | None = None) -> TrainingRun:
        """Save and end; without an id the run under way, or else the one that is paused."""
        raise NotImplementedError

    async def back(self, character: str, who: str) -> Promotion | None:
        """End the use of a character's model; the one before it, if any, is in use again."""
        raise NotImplementedError

    async def vote(self, run_id: int, step: int, user_id: int) -> Standing:
        """A vote by command for a checkpoint; enough of them promote it.

        Also for one whose message is closed: a model that was put aside can come back.
        """
        raise NotImplementedError

    # What is shown

    async def status(self) -> TrainingStatus:
        raise NotImplementedError

    async def get(self, run_id: int) -> TrainingRun:
        raise NotImplementedError

    async def validations(self, run_id: int) -> list[Validation]:
        """All of a run, open or ended, in the order of their steps."""
        raise NotImplementedError

    async def open_validations(self) -> list[Validation]:
        """Those that people may vote on, the oldest first; `message_id` is None if not shown."""
        raise NotImplementedError

    async def find_validation(self, message_id: int) -> Validation | None:
        """The checkpoint that a message shows, open or ended."""
        raise NotImplementedError

    async def find_run(self, message_id: int) -> TrainingRun | None:
        """The run whose live message this is."""
        raise NotImplementedError

    async def untold(self) -> list[TrainingRun]:
        """Runs that have ended without anybody having been shown that."""
        raise NotImplementedError

    async def told(self, run_id: int) -> None:
        """People have been shown that it has ended."""
        raise NotImplementedError

    async def live_message(self, run_id: int, channel_id: int, message_id: int) -> None:
        """Remember the message that shows how a run goes on."""
        raise NotImplementedError

    async def shown(self, run_id: int, step: int, channel_id: int, message_id: int) -> None:
        """Remember the message that shows a checkpoint's pictures."""
        raise NotImplementedError

    async def closed(self, run_id: int, step: int, reason: str) -> None:
        """Its reactions count no more: somebody has deleted the message, say."""
        raise NotImplementedError

    # Votes by reaction

    async def vote_standing(self, run_id: int, step: int) -> Standing:
        raise NotImplementedError

    async def sync_votes(self, run_id: int, step: int, approvers: frozenset[int]) -> Standing:
        """Make the ✅ of members with the role, as they stand now, the votes by reaction.

        Enough votes promote the checkpoint; UserError when it is damaged or no longer there.
        """
        raise NotImplementedError

    # What goes on by itself

    async def run(self) -> None:
        """Keep the process of the run under way alive until this is cancelled."""
        raise NotImplementedError

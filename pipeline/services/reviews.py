"""Approvals: votes on a fingerprint, through reactions and commands, and what follows.

A standing reject by anybody wins; enough different approvers make it approved; otherwise it
is in review. Only votes on what the current revision would send out count.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pipeline.errors import ProviderError, UserError
from pipeline.providers.writers.prompt import REASONS
from pipeline.typed_text import one_line
from storage.database import Database
from storage.decisions import Choice, Decision, Decisions, Door
from storage.episodes import Episodes
from storage.messages import Messages
from storage.records import Episode, Message
from storage.rejections import Rejections
from storage.states import EpisodeState

log = logging.getLogger(__name__)

DECIDABLE = (EpisodeState.IN_REVIEW, EpisodeState.APPROVED, EpisodeState.REJECTED)
OPEN = (EpisodeState.IN_REVIEW, EpisodeState.APPROVED)
MOST_READS = 3
LONGEST_WORDS = 200
"""Of the person's own words in a rejection."""
MOST_EPISODES = 10_000


class VotesChanged(ProviderError):
    """Something was said while votes were read: they are old, read them again."""


@dataclass(frozen=True)
class Votes:
    """Ids of members with the approver role whose ✅ or ❌ is on a draft now; never a bot's."""

    approve: frozenset[int] = frozenset()
    reject: frozenset[int] = frozenset()


class VoteReader(Protocol):
    """Asks Discord; raises ProviderError when it does not answer."""

    async def votes(self, draft: Message) -> Votes | None:
        """None when the message is gone."""
        ...

    async def is_approver(self, user_id: int) -> bool: ...


@dataclass(frozen=True)
class Standing:
    """How an episode stands; `counted` is False for a vote on something superseded."""

    episode: Episode
    approvers: frozenset[int]
    rejecters: frozenset[int]
    needed: int
    counted: bool = True
    moved: bool = False

    @property
    def is_approved(self) -> bool:
        return not self.rejecters and len(self.approvers) >= self.needed


class Reviews:
    def __init__(
        self, *, db: Database, approvals_needed: int, clock: Callable[[], datetime]
    ) -> None:
        self._db = db
        self._needed = approvals_needed
        self._clock = clock
        self._said: Counter[int] = Counter()
        self._decisions = Decisions(db)
        self._episodes = Episodes(db)
        self._messages = Messages(db)
        self._rejections = Rejections(db)

    async def record(
        self,
        choice: Choice,
        user_id: int,
        *,
        door: Door,
        episode_id: int,
        revision: int | None = None,
        fingerprint: str | None = None,
    ) -> Standing:
        """Count a vote of somebody who may vote; without a revision it is about the current one."""
        self._said[episode_id] += 1
        async with self._db.transaction():
            episode, mark = await self._current(episode_id)
            if not mark or (revision or episode.revision) != episode.revision:
                return await self._standing(episode, mark, counted=False)
            if fingerprint is not None and fingerprint != mark:
                return await self._standing(episode, mark, counted=False)
            await self._decisions.add(
                episode_id,
                episode.revision,
                mark,
                user_id=user_id,
                choice=choice,
                door=door,
                now=self._clock(),
            )
            return await self._decide(episode, mark, f"user {user_id}", f"{choice} by {door}")

    async def withdraw(
        self,
        choice: Choice,
        user_id: int,
        *,
        door: Door,
        episode_id: int,
        revision: int | None = None,
    ) -> Standing:
        """Take a vote back; harmless when there is none."""
        self._said[episode_id] += 1
        async with self._db.transaction():
            episode, mark = await self._current(episode_id)
            await self._withdraw(episode.id, revision or episode.revision, user_id, choice, door)
            return await self._decide(episode, mark, f"user {user_id}", f"{choice} taken back")

    async def approve(self, episode_id: int, user_id: int) -> Standing:
        """By command: an earlier reject by command of the same person is taken back."""
        async with self._db.transaction():
            standing = await self._command(episode_id, user_id, Choice.APPROVE, Choice.REJECT)
            await self._rejections.remove(episode_id, standing.episode.revision, user_id)
        return standing

    async def reject(
        self, episode_id: int, user_id: int, *, reason: str = "", words: str = ""
    ) -> Standing:
        """By command: an earlier approval by command of the same person is taken back.

        The reason, one of REASONS, and the words become a rule for the next scripts.
        """
        words = one_line(words)[:LONGEST_WORDS]
        reason = reason or ("words" if words else "")
        if reason and reason not in REASONS:
            raise UserError(f"A reel is rejected as {', '.join(REASONS)}, or without a reason.")
        async with self._db.transaction():
            standing = await self._command(episode_id, user_id, Choice.REJECT, Choice.APPROVE)
            if reason:
                about = (episode_id, standing.episode.revision, user_id)
                await self._rejections.add(*about, reason, words, now=self._clock())
        return standing

    async def marker(self, episode_id: int) -> int:
        """Grows with all that is said about an episode; take it before reading votes."""
        # A vote that stands already changes no row, yet it makes what was read before it old.
        return await self._decisions.activity(episode_id) + self._said[episode_id]

    async def sync(
        self, draft: Message, votes: Votes | None, *, marker: int | None = None
    ) -> Standing:
        """Make the reactions on a draft what stands, as if every one had been watched.

        None means that the message is gone: it is closed, and its reactions no longer count.
        VotesChanged when something was said since the marker was taken.
        """
        async with self._db.transaction():
            if marker is not None:
                await self._refuse_old(draft.episode_id, marker)
            if votes is None:
                await self._messages.close(draft.message_id, now=self._clock())
                votes = Votes()
            episode, mark = await self._current(draft.episode_id)
            if draft.revision != episode.revision or draft.fingerprint != mark:
                return await self._standing(episode, mark, counted=False)
            return await self._stand_for(votes, episode, mark, "reactions read back")

    async def standing(self, episode_id: int) -> Standing:
        episode, mark = await self._current(episode_id)
        return await self._standing(episode, mark)

    async def history(self, episode_id: int) -> list[Decision]:
        return await self._decisions.history(episode_id)

    async def under_review(self) -> list[Episode]:
        """In review or approved, the oldest first: people may still change their minds."""
        found = await self._episodes.newest(*OPEN, limit=MOST_EPISODES)
        return found[::-1]

    async def review_again(self, episode: Episode, fingerprint: str, reason: str) -> bool:
        """Other things would go out than people saw: their votes are void, a new draft is due.

        False when the episode has changed meanwhile.
        """
        async with self._db.transaction():
            current, mark = await self._current(episode.id)
            if (current.revision, current.state) != (episode.revision, episode.state):
                return False
            await self._episodes.set_fingerprint(current.id, current.revision, fingerprint)
            draft = await self._messages.open_draft(current.id, current.revision)
            if draft is not None:
                await self._messages.close(draft.message_id, now=self._clock())
            await self._decide(current, fingerprint, "studio", reason)
            log.info("episode=%s is reviewed again (%s): %s", current.id, mark[:12], reason)
        return True

    async def verify(self, episode_id: int, reader: VoteReader) -> bool:
        """Ask Discord again: reactions, and whether those who used a command still may.

        ProviderError when Discord does not answer; nothing may be posted on a guess.
        """
        for _ in range(MOST_READS):
            with suppress(VotesChanged):
                return await self._verify(episode_id, reader)
        raise VotesChanged(
            "Discord", "people are voting just now; their votes are read again", True
        )

    async def _verify(self, episode_id: int, reader: VoteReader) -> bool:
        marker = await self.marker(episode_id)
        before = await self.standing(episode_id)
        revision = before.episode.revision
        gone = await self._without_role(before, reader)
        # The reactions last: the less time passes after reading them, the better.
        draft = await self._messages.open_draft(episode_id, revision)
        votes = await reader.votes(draft) if draft is not None else None
        async with self._db.transaction():
            episode, mark = await self._current(episode_id)
            if episode.revision != revision:
                return False
            await self._refuse_old(episode_id, marker)
            if await self._messages.open_draft(episode_id, revision) != draft:
                raise VotesChanged("Discord", "another draft was posted; its votes are read", True)
            for decision in gone:
                await self._withdraw(
                    *(episode_id, decision.revision, decision.user_id),
                    *(decision.decision, decision.door),
                )
            if draft is not None:
                standing = await self.sync(draft, votes)
            else:
                standing = await self._stand_for(Votes(), episode, mark, "there is no draft")
        is_approved = standing.counted and standing.is_approved
        return is_approved and standing.episode.state is EpisodeState.APPROVED

    async def _command(
        self, episode_id: int, user_id: int, choice: Choice, opposite: Choice
    ) -> Standing:
        async with self._db.transaction():
            episode, mark = await self._current(episode_id)
            if not mark or episode.state not in DECIDABLE:
                state = episode.state.value.replace("_", " ")
                raise UserError(f"Episode {episode_id} is {state}; there is nothing to decide.")
            if choice is Choice.APPROVE:
                await self._refuse_unseen(episode, mark)
            await self._withdraw(episode_id, episode.revision, user_id, opposite, Door.COMMAND)
            return await self.record(choice, user_id, door=Door.COMMAND, episode_id=episode_id)

    async def _refuse_unseen(self, episode: Episode, mark: str) -> None:
        draft = await self._messages.open_draft(episode.id, episode.revision)
        if draft is None or draft.fingerprint != mark:
            raise UserError(
                f"Nobody has seen episode {episode.id} as it would go out now; "
                "wait for its draft and look at that first."
            )

    async def _refuse_old(self, episode_id: int, marker: int) -> None:
        if await self.marker(episode_id) != marker:
            raise VotesChanged("Discord", "votes changed while they were read", True)

    async def _current(self, episode_id: int) -> tuple[Episode, str]:
        episode = await self._episodes.get(episode_id)
        revision = await self._episodes.revision(episode_id, episode.revision)
        return episode, revision.fingerprint or ""

    async def _without_role(self, standing: Standing, reader: VoteReader) -> list[Decision]:
        episode, mark = await self._current(standing.episode.id)
        decisions = await self._decisions.standing(episode.id, episode.revision, mark)
        commands = [decision for decision in decisions if decision.door is Door.COMMAND]
        users = {decision.user_id for decision in commands}
        gone = {user for user in users if not await reader.is_approver(user)}
        return [decision for decision in commands if decision.user_id in gone]

    async def _stand_for(self, votes: Votes, episode: Episode, mark: str, reason: str) -> Standing:
        await self._match(episode, mark, Choice.APPROVE, votes.approve)
        await self._match(episode, mark, Choice.REJECT, votes.reject)
        return await self._decide(episode, mark, "reactions", reason)

    async def _match(self, episode: Episode, mark: str, choice: Choice, users: Set[int]) -> None:
        """Reactions of this kind stand for exactly these users."""
        decisions = await self._decisions.standing(episode.id, episode.revision, mark)
        known = {
            decision.user_id
            for decision in decisions
            if decision.door is Door.REACTION and decision.decision is choice
        }
        for user_id in known - users:
            await self._withdraw(episode.id, episode.revision, user_id, choice, Door.REACTION)
        for user_id in sorted(users - known):
            await self._decisions.add(
                episode.id,
                episode.revision,
                mark,
                user_id=user_id,
                choice=choice,
                door=Door.REACTION,
                now=self._clock(),
            )

    async def _withdraw(
        self, episode_id: int, revision: int, user_id: int, choice: Choice, door: Door
    ) -> None:
        await self._decisions.withdraw(
            episode_id, revision, user_id=user_id, choice=choice, door=door, now=self._clock()
        )

    async def _standing(
        self, episode: Episode, mark: str, *, counted: bool = True, moved: bool = False
    ) -> Standing:
        decisions = await self._decisions.standing(episode.id, episode.revision, mark)
        by = {
            choice: frozenset(d.user_id for d in decisions if d.decision is choice)
            for choice in Choice
        }
        return Standing(
            episode=episode,
            approvers=by[Choice.APPROVE],
            rejecters=by[Choice.REJECT],
            needed=self._needed,
            counted=counted,
            moved=moved,
        )

    async def _decide(self, episode: Episode, mark: str, who: str, reason: str) -> Standing:
        standing = await self._standing(episode, mark)
        target = EpisodeState.IN_REVIEW
        if standing.rejecters:
            target = EpisodeState.REJECTED
        elif standing.is_approved:
            target = EpisodeState.APPROVED
        if episode.state not in DECIDABLE or episode.state is target:
            return standing
        steps = [target]
        if (episode.state, target) == (EpisodeState.REJECTED, EpisodeState.APPROVED):
            steps = [EpisodeState.IN_REVIEW, target]
        for step in steps:
            episode = await self._episodes.move(
                episode.id, step, who=who, reason=reason, now=self._clock()
            )
        return await self._standing(episode, mark, moved=True)

"""What people and the clock can ask for about publishing; posting.py does it.

Nothing goes out without an approval that holds when it goes out, whoever asks.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from pipeline.errors import ProviderError, UserError
from pipeline.publishing.base import (
    Limited,
    Media,
    Outgoing,
    Permanent,
    Publisher,
    Slot,
)
from pipeline.services.outgoing import OutgoingReels, Parcel
from pipeline.services.post_events import OnEvent, PostEvent, PostEventKind
from pipeline.services.posting import NEARLY_LIMITED, Posting
from pipeline.services.posting import PAUSED as WAITS_FOR_RESUME
from pipeline.services.reviews import Reviews, VoteReader
from storage.database import Database
from storage.episodes import Episodes
from storage.errors import InvalidTransition, StorageError
from storage.notes import Notes
from storage.posts import UNDER_WAY, Post, Posts
from storage.records import Episode, to_text
from storage.slots import SlotOutcome, SlotRecord, Slots
from storage.states import EpisodeState, PostState

log = logging.getLogger(__name__)

STILL_DONE = timedelta(hours=1)
"""A slot missed by less than this is still done."""
PAUSED, SCHEDULE, SETTLED_UNTIL = "paused_at", "schedule", "schedule_since"
TOKEN_TOLD, TELL_AGAIN = "token_told", timedelta(hours=23)
QUOTA_S = 3600.0
MOST_POSTS = 100
CHANGED_SETTINGS = "account, AI label or caption text changed"
LINK = re.compile(r"https://(?:www\.)?instagram\.com/(?:reel|p)/[\w-]+/?")


class Publishing:
    """`sleep` is for short waits of a post under way; longer ones are found by resume_due()."""

    def __init__(
        self,
        *,
        db: Database,
        publisher: Publisher,
        reels: OutgoingReels,
        reviews: Reviews,
        reader: VoteReader,
        on_event: OnEvent,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._db = db
        self._publisher = publisher
        self._reels = reels
        self._reviews = reviews
        self._reader = reader
        self._on_event = on_event
        self._clock = clock
        self._posts = Posts(db)
        self._slots = Slots(db)
        self._episodes = Episodes(db)
        self._notes = Notes(db)
        self._posting = Posting(
            db=db, publisher=publisher, gate=self, on_event=on_event, clock=clock, sleep=sleep
        )
        self._choosing = asyncio.Lock()
        self._told: set[str] = set()  # what a slot that is asked again need not repeat

    # What people ask for

    async def dry_run(self, episode_id: int) -> list[str]:
        """Everything that would stop the post now; empty when it would go out."""
        episode = await self._episodes.get(episode_id)
        parcel = await self._reels.read(episode_id, episode.revision)
        found = await self._reels.findings(parcel)
        standing = await self._reviews.standing(episode_id)
        if not standing.is_approved:
            found.append(f"It has {len(standing.approvers)} of {standing.needed} approvals.")
        if standing.rejecters:
            found.append("Somebody has rejected it.")
        if await self.is_paused():
            found.append("Publishing is paused; /publish resume goes on.")
        if (held_s := self._publisher.held_s()) > 0:
            found.append(f"{NEARLY_LIMITED.capitalize()}; posts wait {held_s / 60:.0f} min.")
        try:
            quota = await self._publisher.quota()
        except ProviderError as error:
            return [*found, str(error)]
        if quota.used >= quota.total:
            found.append(f"The account has used its {quota.total} posts of the last 24 hours.")
        return found

    async def post_now(self, episode_id: int, who: str) -> Post:
        """Post an approved reel at once and see it through; may take minutes."""
        if await self.is_paused():
            raise UserError("Publishing is paused; /publish resume goes on.")
        async with self._choosing:
            episode = await self._unspoil(await self._episodes.get(episode_id), who)
            if episode.state is not EpisodeState.APPROVED:
                raise UserError(f"Episode {episode_id} is {_words(episode)}, not approved.")
            parcel = await self._reels.read(episode_id, episode.revision)
            if found := await self._reels.findings(parcel):
                raise UserError(f"Episode {episode_id} cannot go out: {' '.join(found)}")
            if not await self._reviews.verify(episode_id, self._reader):
                raise UserError(f"The approval of episode {episode_id} no longer holds.")
            await self._claim(episode, parcel, None)
        return await self._posting.drive(episode_id)

    async def confirm(self, episode_id: int, reference: str, who: str) -> Post:
        """A person has found the post: its link, or its media id."""
        post = await self._asked_about(episode_id, PostState.UNKNOWN, PostState.PUBLISHING)
        reference = reference.strip()
        if reference.isdecimal():
            return await self._posting.confirm(post, Media(reference, ""), who)
        if self._publisher.platform == "instagram" and not LINK.fullmatch(reference):
            raise UserError("Give the post's link, like https://www.instagram.com/reel/…/")
        return await self._posting.confirm(post, Media("", reference), who)

    async def retry(self, episode_id: int, who: str) -> Post:
        """A person says that it is not public: post it again; also after a failure."""
        post = await self._asked_about(episode_id, PostState.UNKNOWN, PostState.FAILED)
        log.info("episode=%s retry asked by %s", episode_id, who)
        if post.state is PostState.FAILED:
            return await self.post_now(episode_id, who)
        await self._posting.repeat(post)
        return await self._posting.drive(episode_id)

    async def pause(self, who: str) -> None:
        """From now on publish is not called, also for posts under way, until resume()."""
        await self._notes.set(PAUSED, f"{to_text(self._clock())} {who}")

    async def resume(self) -> None:
        async with self._db.transaction():
            await self._notes.remove(PAUSED)
            await self._posts.go_on(self._publisher.platform, WAITS_FOR_RESUME)

    async def is_paused(self) -> bool:
        return await self._notes.get(PAUSED) is not None

    async def queue(self) -> list[Episode]:
        """Approved reels in the order in which slots take them."""
        candidates = await self._slots.candidates()
        return [episode for episode in candidates if not await self._is_taken(episode)]

    async def needing_people(self) -> list[Post]:
        """Posts that do not go on by themselves, the newest first; `error` says why."""
        states = (*UNDER_WAY, PostState.UNKNOWN, PostState.FAILED)
        posts = await self._posts.newest(self._publisher.platform, *states, limit=MOST_POSTS)
        return [post for post in posts if await self._needs_people(post)]

    async def posts(self, limit: int = 20) -> list[Post]:
        return await self._posts.newest(self._publisher.platform, limit=limit)

    async def slots(self, limit: int = 20) -> list[SlotRecord]:
        return await self._slots.newest(limit)

    # What the clock asks for

    async def recover(self) -> list[Post]:
        """At start: go on with every post that an earlier process left; see posting.py."""
        platform = self._publisher.platform
        for post in await self._posts.newest(platform, *UNDER_WAY, limit=MOST_POSTS):
            log.info("episode=%s its post was left %s", post.episode_id, post.state)
        unknown = await self._posts.newest(platform, PostState.UNKNOWN, limit=MOST_POSTS)
        driven = await self.resume_due()
        for post in unknown:
            if (await self._posts.get(post.episode_id, platform)).state is PostState.UNKNOWN:
                self._tell(PostEventKind.UNKNOWN, post.error, post.episode_id)
        return driven

    async def restamp(self) -> list[int]:
        """At start: what would go out otherwise than people saw goes back to them; its episodes.

        Account, AI label and the text around captions are settings: a change voids approvals.
        """
        changed = []
        for episode in await self._reviews.under_review():
            try:
                parcel = await self._reels.read(episode.id, episode.revision)
            except StorageError as error:
                log.warning("episode=%s stays as it is: %s", episode.id, error)
                continue
            if parcel.fingerprint == parcel.approved or await self._is_under_way(episode):
                continue
            if await self._reviews.review_again(episode, parcel.fingerprint, CHANGED_SETTINGS):
                changed.append(episode.id)
        return changed

    async def keep_token_fresh(self) -> None:
        """Renew what lets us in, when it is due; people hear once a day if they must act."""
        try:
            problem = await self._publisher.keep_access()
        except ProviderError as error:
            log.warning("the token stays as it is: %s", error)
            return
        told = await self._notes.get(TOKEN_TOLD)
        now = self._clock()
        since = now - datetime.fromisoformat(told) if told else TELL_AGAIN
        if not problem or timedelta(0) <= since < TELL_AGAIN:  # less: a clock was ahead then
            return
        await self._notes.set(TOKEN_TOLD, to_text(now))
        self._tell(PostEventKind.LOCKED, f"{problem} Until then nothing is lost; posts wait.")

    async def resume_due(self) -> list[Post]:
        """Go on with posts whose wait is over, those that nobody drives at the moment."""
        due = await self._posts.due(self._publisher.platform, self._clock())
        return [
            await self._posting.drive(post.episode_id)
            for post in due
            if not self._posting.is_busy(post.episode_id)
        ]

    async def note_schedule(self, schedule: str) -> None:
        """A new or changed schedule begins now: none of its past slots is made up for."""
        async with self._db.transaction():
            if await self._notes.get(SCHEDULE) != schedule:
                await self._notes.set(SCHEDULE, schedule)
                await self._notes.set(SETTLED_UNTIL, to_text(self._clock()))

    async def run_due(self, slots_between: Callable[[datetime, datetime], list[Slot]]) -> None:
        """Do the slots that have come; those missed by an hour or more are recorded as missed."""
        now = self._clock()
        since = datetime.fromisoformat(await self._notes.get(SETTLED_UNTIL) or to_text(now))
        for slot in slots_between(since, now):
            if now - slot.at >= STILL_DONE:
                await self._record(slot, SlotOutcome.MISSED, "Nothing could be posted in time")
            else:
                await self.run_slot(slot)
        await self._notes.set(SETTLED_UNTIL, to_text(max(since, now - STILL_DONE)))

    async def run_slot(self, slot: Slot) -> SlotOutcome | None:
        """Post what spoils first; None when approvals could not be read, then ask again later."""
        async with self._choosing:
            if (done := await self._slots.find(slot.key)) is not None:
                return done.outcome
            if await self.is_paused():
                await self._record(slot, SlotOutcome.PAUSED, "Publishing is paused")
                return SlotOutcome.PAUSED
            await self._take_out_spoiled()
            try:
                chosen = await self._choose(slot)
            except ProviderError as error:
                self._tell_once(PostEventKind.WAITING, f"The slot {slot.key} waits: {error}")
                return None
            if chosen is None:
                await self._record(slot, SlotOutcome.EMPTY, "Nothing is approved")
                return SlotOutcome.EMPTY
        await self._posting.drive(chosen.id)
        settled = await self._slots.find(slot.key)
        return settled.outcome if settled else None

    # What posting.py asks before anything goes out

    async def outgoing(self, post: Post) -> Outgoing:
        try:
            parcel = await self._reels.read(post.episode_id, post.revision)
            found = await self._reels.changes(parcel)
        except StorageError as error:
            raise Permanent(post.platform, str(error)) from error
        if not found and parcel.fingerprint != post.fingerprint:
            found = ["It is not what was approved when it was chosen."]
        if found:
            raise Permanent(post.platform, " ".join(found))
        return parcel.outgoing

    async def check(self, post: Post) -> None:
        if post.attempted_at is None:
            quota = await self._publisher.quota()
            if quota.used >= quota.total:
                text = f"the account has used its {quota.total} posts of the last 24 hours."
                raise Limited(post.platform, text, QUOTA_S)
        episode = await self._episodes.get(post.episode_id)
        if post.slot is not None and self._is_spoiled(episode):
            if episode.state is EpisodeState.APPROVED:  # people may have decided otherwise
                await self._spoil(episode)
            raise Permanent(post.platform, "it has spoiled meanwhile.")
        if not await self._reviews.verify(post.episode_id, self._reader):
            raise Permanent(post.platform, "the approval no longer holds.")

    # How a slot chooses

    async def _choose(self, slot: Slot) -> Episode | None:
        for episode in await self._slots.candidates():
            if await self._is_taken(episode):
                continue
            parcel = await self._fit_to_go_out(episode)
            if parcel is None:
                continue
            if not await self._reviews.verify(episode.id, self._reader):
                continue
            try:
                await self._claim(episode, parcel, slot)
            except InvalidTransition as error:  # changed while Discord was asked
                log.info("episode=%s slot=%s not taken: %s", episode.id, slot.key, error)
                continue
            return episode
        return None

    async def _fit_to_go_out(self, episode: Episode) -> Parcel | None:
        """None, and people are told why, when a check refuses it; the next candidate may go."""
        try:
            parcel = await self._reels.read(episode.id, episode.revision)
            found = await self._reels.findings(parcel)
        except StorageError as error:
            found = [str(error)]
        if not found:
            return parcel
        text = f"Episode {episode.id} cannot go out: {' '.join(found)}"
        self._tell_once(PostEventKind.BLOCKED, text, episode.id)
        return None

    async def _claim(self, episode: Episode, parcel: Parcel, slot: Slot | None) -> None:
        """The slot and the post in one transaction: neither is ever taken without the other."""
        async with self._db.transaction():
            now = self._clock()
            current = await self._episodes.get(episode.id)
            if (current.state, current.revision) != (EpisodeState.APPROVED, episode.revision):
                raise InvalidTransition(f"Episode {episode.id} is no longer approved.")
            if slot is not None:
                await self._slots.claim(
                    slot.key, slot.at, SlotOutcome.POSTING, episode_id=episode.id, now=now
                )
            await self._posts.claim(
                episode.id,
                self._publisher.platform,
                revision=episode.revision,
                fingerprint=parcel.fingerprint,
                sha256=parcel.outgoing.sha256,
                caption=parcel.outgoing.caption,
                slot=slot.key if slot else None,
                now=now,
            )

    async def _is_under_way(self, episode: Episode) -> bool:
        post = await self._posts.find(episode.id, self._publisher.platform)
        return post is not None and post.state is not PostState.FAILED

    async def _is_taken(self, episode: Episode) -> bool:
        """Under way, unknown, or failed just as it is: it would fail again at every slot."""
        post = await self._posts.find(episode.id, self._publisher.platform)
        if post is None or post.state is not PostState.FAILED:
            return post is not None
        revision = await self._episodes.revision(episode.id, episode.revision)
        return (post.revision, post.fingerprint) == (episode.revision, revision.fingerprint)

    async def _needs_people(self, post: Post) -> bool:
        if post.state is not PostState.FAILED:
            return post.state is PostState.UNKNOWN or self._posting.needs_people(post)
        episode = await self._episodes.get(post.episode_id)
        return episode.state is EpisodeState.APPROVED and await self._is_taken(episode)

    async def _asked_about(self, episode_id: int, *states: PostState) -> Post:
        post = await self._posts.get(episode_id, self._publisher.platform)
        if post.state not in states:
            raise UserError(
                f"The post of episode {episode_id} is {post.state.value}; "
                "there is nothing to clear up."
            )
        return post

    async def _take_out_spoiled(self) -> None:
        for episode in await self._slots.candidates():
            if self._is_spoiled(episode) and not await self._is_under_way(episode):
                await self._spoil(episode)

    def _is_spoiled(self, episode: Episode) -> bool:
        return episode.best_before is not None and episode.best_before <= self._clock()

    async def _spoil(self, episode: Episode) -> None:
        await self._episodes.move(
            episode.id, EpisodeState.SPOILED, who="studio", reason="too late", now=self._clock()
        )
        text = f"Episode {episode.id} has spoiled; /publish now posts it all the same."
        self._tell(PostEventKind.SPOILED, text, episode.id)

    async def _unspoil(self, episode: Episode, who: str) -> Episode:
        """Asked for by a person, a spoiled reel may go out: as approved as it was."""
        standing = await self._reviews.standing(episode.id)
        if episode.state is not EpisodeState.SPOILED or not standing.is_approved:
            return episode
        return await self._episodes.move(
            episode.id, EpisodeState.APPROVED, who=who, reason="asked for", now=self._clock()
        )

    async def _record(self, slot: Slot, outcome: SlotOutcome, reason: str) -> None:
        try:
            await self._slots.claim(slot.key, slot.at, outcome, now=self._clock())
        except InvalidTransition:
            return
        self._tell(PostEventKind(outcome.value), f"{reason}: the slot {slot.key} stays empty.")

    def _tell_once(self, kind: PostEventKind, text: str, episode_id: int | None = None) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(kind, text, episode_id)

    def _tell(self, kind: PostEventKind, text: str, episode_id: int | None = None) -> None:
        log.info("%s: %s", kind, text)
        self._on_event(PostEvent(kind, text, episode_id))


def _words(episode: Episode) -> str:
    return episode.state.value.replace("_", " ")

"""Drives one post to its end, from wherever it stopped.

    preparing  look whether it is public already, create a container
    uploading  send the bytes; cut off here, it starts over: only a whole upload is proven
    ready      wait until the platform has processed it, pass the gate, call publish
    publishing publish may have happened: ask the container, then look for the post, and only
               then act (see _reconcile)
    unknown    a publish call may have worked and no more can be done: people are asked; the
               platform is still looked at now and then

Before each call its intent is committed, after it its outcome together with what it changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.errors import ProviderError, UserError
from pipeline.publishing.base import (
    Container,
    ContainerState,
    ContainerStatus,
    Limited,
    Locked,
    Media,
    Outgoing,
    Passing,
    Permanent,
    Publisher,
    PublishError,
    StartOver,
    Unknown,
    Unseen,
)
from pipeline.services.post_events import OnEvent, PostEvent, PostEventKind
from storage.database import Database
from storage.episodes import Episodes
from storage.errors import InvalidTransition, StorageUnusable
from storage.posts import UNDER_WAY, Post, Posts
from storage.records import to_text
from storage.slots import SlotOutcome, Slots
from storage.states import EpisodeState, PostState

log = logging.getLogger(__name__)
T = TypeVar("T")

POLLS_S = (2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 60.0, 60.0, 60.0)  # Meta: about five minutes
BACKOFF_S, LONGEST_BACKOFF_S = 15.0, 900.0
INLINE_S = 60.0  # up to here waits are slept through, longer ones are left to resume_due()
LATER_S = 120.0
LONG_S = 3600.0  # waits from here on are told to people at once
PAUSED = "publishing is paused"
NEARLY_LIMITED = "the platform has been asked nearly as often as it allows"
UNSEEN_WAITS = 3  # 15, 30 and 60 s
LOCKED_S = 900.0
SETTLE_S = 30.0  # a publish call whose answer was lost may still be working
ASK_AFTER = 6  # waits in a row before people are asked: a quarter of an hour
UNKNOWN_S = 3600.0
NOT_PUBLIC = "not public"
MOST_CONTAINERS, MOST_REPEATS = 10, 5
GIVE_UP_AFTER = timedelta(hours=24)  # of trying in vain


class Wait(Exception):
    """Nothing more can be done now."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Held(Wait):
    """It is held back, and nothing is wrong with it: this time is not one of trying in vain."""


class Gate(Protocol):
    """Asked before anything goes out."""

    async def outgoing(self, post: Post) -> Outgoing:
        """What goes out, checked again; Permanent when it is not what was approved."""
        ...

    async def check(self, post: Post) -> None:
        """Right before publish: Wait to hold the post back, Permanent to end it."""
        ...

    async def is_paused(self) -> bool: ...


class Posting:
    def __init__(
        self,
        *,
        db: Database,
        publisher: Publisher,
        gate: Gate,
        on_event: OnEvent,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._db = db
        self._publisher = publisher
        self._gate = gate
        self._on_event = on_event
        self._clock = clock
        self._sleep = sleep
        self._posts = Posts(db)
        self._slots = Slots(db)
        self._episodes = Episodes(db)
        self._told: dict[int, str] = {}  # what people know already, until the bot restarts
        self._said: set[tuple[int, str]] = set()  # the same of limits, which mend themselves
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    def is_busy(self, episode_id: int) -> bool:
        return self._locks[episode_id].locked()

    def needs_people(self, post: Post) -> bool:
        """Waits for something that does not mend itself, or has not for a long time."""
        if post.state not in UNDER_WAY or not post.error or post.error == PAUSED:
            return False
        return post.waits > ASK_AFTER or self._told.get(post.episode_id) == post.error

    async def drive(self, episode_id: int) -> Post:
        """Go on until the post is settled or must wait for longer than a minute."""
        async with self._locks[episode_id]:
            post = await self._posts.get(episode_id, self._publisher.platform)
            while post.state not in (PostState.PUBLISHED, PostState.FAILED):
                try:
                    post, wait_s = await self._advance(post)
                except InvalidTransition as error:  # another bot on the same database
                    log.warning("episode=%s somebody else posts it: %s", episode_id, error)
                    return await self._posts.get(episode_id, self._publisher.platform)
                if wait_s > INLINE_S or post.state is PostState.UNKNOWN:
                    return post
                if wait_s:
                    await self._sleep(wait_s)
            return post

    async def confirm(self, post: Post, media: Media, who: str) -> Post:
        """A person has found the post."""
        async with self._locks[post.episode_id]:
            return await self._published(post, media, who=who)

    async def repeat(self, post: Post) -> Post:
        """A person says that it is not public; the platform is asked once more all the same."""
        async with self._locks[post.episode_id]:
            status, media = await self._look(post)
            if media is not None:
                return await self._published(post, media)
            if status is not None and status.state is ContainerState.PUBLISHED:
                raise UserError("Instagram says that it is public; use /publish confirm.")
            usable = status is not None and status.state is ContainerState.FINISHED
            async with self._db.transaction():
                await self._posts.answer(post, "publish", NOT_PUBLIC, now=self._clock())
                if usable:
                    return await self._posts.move(post, PostState.READY)
                return await self._posts.move(post, PostState.PREPARING, container_id=None)

    async def _advance(self, post: Post) -> tuple[Post, float]:
        """One step; returns the post and the seconds to wait before the next one."""
        step = {
            PostState.PREPARING: self._prepare,
            PostState.UPLOADING: self._begin_again,
            PostState.READY: self._finish,
            PostState.PUBLISHING: self._reconcile,
            PostState.UNKNOWN: self._look_again,
        }[post.state]
        try:
            return await step(post), 0.0
        except Wait as wait:
            is_held = isinstance(wait, Held)
            return await self._wait(post, str(wait), wait.seconds, is_held=is_held)
        except Locked as error:
            return await self._wait_for_people(post, str(error))
        except Limited as error:
            return await self._wait_for_the_limit(post, error)
        except Passing as error:
            if post.waits == ASK_AFTER:
                self._tell(post, PostEventKind.WAITING, f"{error} The post waits.")
            seconds = max(error.retry_after_s or 0.0, _backoff_s(post.waits))
            return await self._wait(post, str(error), seconds)
        except PublishError as error:
            return await self._stop(post, error)
        except ProviderError as error:  # approvals could not be read
            return await self._wait(post, str(error), LATER_S)
        except (InvalidTransition, StorageUnusable):
            raise
        except Exception as error:  # one post in trouble stops neither the others nor the bot
            log.exception("episode=%s its post is in trouble", post.episode_id)
            return await self._wait_for_people(post, _trouble(error))

    async def _wait_for_people(self, post: Post, reason: str) -> tuple[Post, float]:
        if self._told.get(post.episode_id) != reason:
            self._told[post.episode_id] = reason
            self._tell(post, PostEventKind.LOCKED, f"{reason} The post waits.")
        return await self._wait(post, reason, LOCKED_S, is_held=True)

    async def _wait_for_the_limit(self, post: Post, error: Limited) -> tuple[Post, float]:
        """At least as long as the platform says, longer each time; a long wait is told at once."""
        seconds = max(error.retry_after_s or 0.0, _backoff_s(post.waits))
        is_news = (post.episode_id, str(error)) not in self._said
        if is_news and (seconds >= LONG_S or post.waits >= ASK_AFTER):
            self._said.add((post.episode_id, str(error)))
            self._tell(post, PostEventKind.WAITING, f"{error} The post waits.")
        return await self._wait(post, str(error), seconds, is_held=True)

    async def _stop(self, post: Post, error: PublishError) -> tuple[Post, float]:
        """What to do about an error that waiting alone does not mend."""
        # Steps move the post on, so the row is read again.
        post = await self._posts.get(post.episode_id, post.platform)
        if post.state is PostState.PUBLISHING and post.waits >= ASK_AFTER:
            return await self._unknown(post, None), UNKNOWN_S
        if post.state in (PostState.PUBLISHING, PostState.UNKNOWN):
            return await self._wait(post, str(error), _backoff_s(post.waits))
        if isinstance(error, StartOver | Unseen) and post.attempts < MOST_CONTAINERS:
            if post.state is not PostState.PREPARING:
                post = await self._posts.move(post, PostState.PREPARING, container_id=None)
            times = max(post.attempts - 1, post.waits)
            return await self._wait(post, str(error), _backoff_s(times))
        if await self._posts.unanswered(post, "publish"):
            # An earlier publish call may still take effect: nobody may say that it failed.
            return await self._unknown(post, None, str(error)), UNKNOWN_S
        return await self._failed(post, str(error)), 0.0

    async def _begin_again(self, post: Post) -> Post:
        return await self._posts.move(
            post, PostState.PREPARING, container_id=None, error="the upload was cut off"
        )

    async def _prepare(self, post: Post) -> Post:
        await self._hold_back()
        tried_for = self._clock() - (post.tried_since or post.created_at)
        if post.attempts >= MOST_CONTAINERS or tried_for > GIVE_UP_AFTER:
            raise Permanent(post.platform, f"it did not work in time; last: {post.error or '-'}")
        if not post.attempts and (media := await self._posted_before(post)) is not None:
            return await self._published(post, media)
        outgoing = await self._gate.outgoing(post)
        call, container = await self._call(post, "create", lambda: self._publisher.create(outgoing))
        async with self._db.transaction():
            await self._done(call)
            post = await self._posts.move(
                post,
                PostState.UPLOADING,
                container_id=container.id,
                upload_url=container.upload_url,
                attempts=post.attempts + 1,
                attempted_at=None,
            )
        return await self._upload(post, container, outgoing)

    async def _hold_back(self) -> None:
        """Before anything that can wait; never between a publish call and its confirmation."""
        if await self._gate.is_paused():
            raise Held(LATER_S, PAUSED)
        if (held_s := self._publisher.held_s()) > 0:
            raise Held(held_s, NEARLY_LIMITED)

    async def _posted_before(self, post: Post) -> Media | None:
        """Public since before this claim: a failure that was none, or a restored backup."""
        episode = await self._episodes.get(post.episode_id)
        return await self._find(post, episode.created_at)

    async def _upload(self, post: Post, container: Container, outgoing: Outgoing) -> Post:
        try:
            call, _ = await self._call(
                post,
                "upload",
                lambda: self._publisher.upload(container, outgoing.reel, post.sha256),
            )
        except Passing as error:
            raise StartOver(post.platform, error.message) from error
        async with self._db.transaction():
            await self._done(call)
            return await self._posts.move(post, PostState.READY)

    async def _finish(self, post: Post) -> Post:
        """Poll until processed, pass the gate, publish."""
        if post.attempted_at is None:
            await self._hold_back()
        elif await self._gate.is_paused():
            raise Held(LATER_S, PAUSED)
        try:
            is_publishable = await self._is_processed(post)
        except (Unseen, StartOver):
            if post.attempted_at is None:
                raise
            is_publishable = False
        if not is_publishable:
            # Publish is part of this container's story: look before acting.
            return await self._posts.move(post, PostState.PUBLISHING)
        await self._gate.outgoing(post)
        await self._gate.check(post)
        return await self._publish(post)

    async def _is_processed(self, post: Post) -> bool:
        """True at FINISHED, False at PUBLISHED; StartOver when it will never be either."""
        try:
            status = await self._ask(
                post, "status", lambda: self._publisher.status(_container(post))
            )
        except Unseen as error:
            # A fresh container may not be readable yet: ask for two minutes, then make another.
            if post.attempted_at is not None or post.waits >= UNSEEN_WAITS:
                raise
            raise Wait(_backoff_s(post.waits), str(error)) from error
        if status.state is ContainerState.IN_PROGRESS and post.waits < len(POLLS_S):
            raise Wait(POLLS_S[post.waits], "the platform is processing the video")
        if status.state is ContainerState.ERROR and status.is_final:
            raise Permanent(post.platform, f"the reel is refused: {status.detail}")
        if status.state not in (ContainerState.FINISHED, ContainerState.PUBLISHED):
            raise StartOver(post.platform, f"the container is {status.state}: {status.detail}")
        return status.state is ContainerState.FINISHED

    async def _publish(self, post: Post) -> Post:
        async with self._db.transaction():
            if await self._gate.is_paused():
                raise Held(LATER_S, PAUSED)
            episode = await self._episodes.get(post.episode_id)
            if (episode.state, episode.revision) != (EpisodeState.APPROVED, post.revision):
                raise Permanent(post.platform, "the approval was taken back.")
            post = await self._posts.move(
                post, PostState.PUBLISHING, attempted_at=to_text(self._clock())
            )
            call = await self._posts.begin_call(post, "publish", now=self._clock())
        try:
            media_id = await self._publisher.publish(_container(post))
        except Unknown as error:  # the call stays unanswered
            raise Wait(SETTLE_S, str(error)) from error
        except PublishError as error:  # certainly not public
            async with self._db.transaction():
                await self._done(call, str(error))
                await self._posts.move(post, PostState.READY)
            raise
        return await self._published(post, Media(media_id, ""), call=call)

    async def _reconcile(self, post: Post) -> Post:
        """Publish may have happened. Act only on what the platform says for certain.

        The post is found            -> published
        FINISHED and not found       -> not public: the same container may be published again
        EXPIRED, ERROR and not found -> not public and of no use: another container
        PUBLISHED but not found      -> public: look until it is listed, then ask for its link
        anything else                -> wait, then ask people; never repeat
        """
        status, media = await self._look(post)
        if media is not None:
            return await self._published(post, media)
        state = status.state if status else None
        since = self._clock() - (post.attempted_at or self._clock())
        if post.attempted_at and since.total_seconds() < SETTLE_S:
            raise Wait(SETTLE_S - since.total_seconds(), "the last publish call is settling")
        if state is ContainerState.FINISHED:
            if await self._posts.unanswered(post, "publish") >= MOST_REPEATS:
                return await self._unknown(post, state, f"{post.platform} does not publish it.")
            return await self._posts.move(post, PostState.READY)
        if state in (ContainerState.EXPIRED, ContainerState.ERROR):
            async with self._db.transaction():
                await self._posts.answer(post, "publish", NOT_PUBLIC, now=self._clock())
                return await self._posts.move(post, PostState.PREPARING, container_id=None)
        if post.waits >= ASK_AFTER:
            return await self._unknown(post, state)
        raise Wait(_backoff_s(post.waits), f"looking for the post (container: {state or 'unseen'})")

    async def _look_again(self, post: Post) -> Post:
        _, media = await self._look(post)
        if media is not None:
            return await self._published(post, media)
        raise Wait(UNKNOWN_S, post.error)

    async def _look(self, post: Post) -> tuple[ContainerStatus | None, Media | None]:
        status, container_id = None, post.container_id
        if container_id:
            try:
                status = await self._ask(
                    post, "status", lambda: self._publisher.status(container_id)
                )
            except (Unseen, StartOver) as error:
                log.warning("episode=%s its container is not found: %s", post.episode_id, error)
        return status, await self._find(post, post.created_at)

    async def _find(self, post: Post, since: datetime) -> Media | None:
        return await self._ask(
            post, "look_up", lambda: self._publisher.look_up(post.caption, since)
        )

    async def _published(
        self, post: Post, media: Media, *, call: int | None = None, who: str = "studio"
    ) -> Post:
        async with self._db.transaction():
            if call is not None:
                await self._done(call)
            post = await self._posts.move(
                post,
                PostState.PUBLISHED,
                media_id=media.id or None,
                permalink=media.permalink or None,
                posted_at=to_text(self._clock()),
            )
            await self._publish_episode(post, who)
            await self._settle(post, SlotOutcome.POSTED)
        if not media.permalink:
            post = await self._with_permalink(post)
        self._tell(post, PostEventKind.PUBLISHED, f"Episode {post.episode_id} is public.")
        return post

    async def _publish_episode(self, post: Post, who: str) -> None:
        episode = await self._episodes.get(post.episode_id)
        if episode.state is not EpisodeState.PUBLISHED:  # it may be, on another platform
            await self._episodes.move(
                episode.id,
                EpisodeState.PUBLISHED,
                who=who,
                reason=f"posted on {post.platform}",
                now=self._clock(),
            )

    async def _with_permalink(self, post: Post) -> Post:
        """Nice to have: without it the post is public all the same."""
        media_id = post.media_id or ""
        try:
            link = await self._ask(post, "permalink", lambda: self._publisher.permalink(media_id))
        except PublishError as error:
            log.warning("episode=%s no link: %s", post.episode_id, error)
            return post
        return await self._posts.set_permalink(post, link)

    async def _unknown(self, post: Post, state: ContainerState | None, why: str = "") -> Post:
        known = (
            "Instagram says it is public but does not list it"
            if state is ContainerState.PUBLISHED
            else "nobody can tell whether it is public"
        )
        reason = f"{why} And {known}" if why else known
        text = (
            f"Episode {post.episode_id}: {reason}. Look at the account, then use /publish confirm "
            "with its link, or /publish retry if it is not there."
        )
        later = to_text(self._clock() + timedelta(seconds=UNKNOWN_S))
        post = await self._posts.move(post, PostState.UNKNOWN, error=text, run_after=later)
        self._tell(post, PostEventKind.UNKNOWN, text)
        return post

    async def _failed(self, post: Post, reason: str) -> Post:
        async with self._db.transaction():
            post = await self._posts.move(post, PostState.FAILED, error=reason)
            await self._settle(post, SlotOutcome.FAILED)
        self._tell(post, PostEventKind.FAILED, f"Episode {post.episode_id} is not posted: {reason}")
        return post

    async def _settle(self, post: Post, outcome: SlotOutcome) -> None:
        if post.slot is not None:
            await self._slots.settle(post.slot, outcome)

    async def _wait(
        self, post: Post, reason: str, seconds: float, *, is_held: bool = False
    ) -> tuple[Post, float]:
        # The step may have moved the post before it had to wait.
        post = await self._posts.get(post.episode_id, post.platform)
        if post.state is PostState.UNKNOWN:
            reason = post.error  # what people are asked stays to be read
        later = self._clock() + timedelta(seconds=seconds)
        log.info("episode=%s waits %.0f s: %s", post.episode_id, seconds, reason)
        post = await self._posts.wait(post, reason=reason, run_after=later, is_held=is_held)
        return post, seconds

    async def _call(self, post: Post, name: str, call: Callable[[], Awaitable[T]]) -> tuple[int, T]:
        """The call between its intent and its outcome; the caller commits the good outcome."""
        intent = await self._posts.begin_call(post, name, now=self._clock())
        try:
            return intent, await call()
        except ProviderError as error:
            await self._done(intent, str(error))
            raise

    async def _ask(self, post: Post, name: str, call: Callable[[], Awaitable[T]]) -> T:
        """A call that changes nothing."""
        intent, result = await self._call(post, name, call)
        await self._done(intent)
        return result

    async def _done(self, call: int, outcome: str = "ok") -> None:
        await self._posts.finish_call(call, outcome, now=self._clock())

    def _tell(self, post: Post, kind: PostEventKind, text: str) -> None:
        log.info("episode=%s post %s: %s", post.episode_id, kind, text)
        self._on_event(PostEvent(kind, text, post.episode_id, post.permalink or ""))


def _trouble(error: Exception) -> str:
    """Without the error's text, in which nobody knows what is; the log has all of it."""
    if isinstance(error, OSError) and error.filename:
        return f"{Path(error.filename).name} cannot be used ({error.strerror})."
    return f"An unexpected error ({type(error).__name__}) is in the log."


def _backoff_s(times: int) -> float:
    return float(min(BACKOFF_S * 2 ** max(times, 0), LONGEST_BACKOFF_S))


def _container(post: Post) -> str:
    assert post.container_id is not None, "a post without container is still preparing"
    return post.container_id

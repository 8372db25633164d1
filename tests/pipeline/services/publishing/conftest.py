"""A channel with a finished reel, a loopback Instagram, and a process that can be killed."""

import hashlib
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from bot.sandbox.instagram import InstagramSandbox
from pipeline.errors import ProviderError
from pipeline.publishing.base import Slot
from pipeline.publishing.folder import FolderPublisher
from pipeline.publishing.instagram import InstagramPublisher
from pipeline.publishing.token_file import TokenFile
from pipeline.publishing.token_keeper import TokenKeeper
from pipeline.sections import Emotion, Line, Script, SpokenLine, Video, Voices, Word
from pipeline.services.outgoing import OutgoingReels
from pipeline.services.publishing import Publishing
from pipeline.services.reviews import Reviews, Votes
from pipeline.shows import load_show
from storage.database import Database
from storage.episodes import Episodes
from storage.folder import DataFolder
from storage.messages import Messages
from storage.posts import Posts
from storage.states import EpisodeState, PostState

TOKEN = "EAAcanary0token0that0nobody0may0see"
ANNA, BEN, CARL = 101, 102, 103
START = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
SETTLED = (PostState.PUBLISHED, PostState.FAILED, PostState.UNKNOWN)
SHOW = load_show("butcher_and_nutsy")
CALLS = ("quota", "create", "upload", "status", "publish", "look_up", "permalink")


def box(name, payload=b""):
    return (8 + len(payload)).to_bytes(4, "big") + name + payload


def mp4(text):
    return box(b"ftyp", b"isom") + box(b"moov") + box(b"mdat", text.encode() * 3000)


class Killed(BaseException):
    """The process ends here."""


class KillSwitch:
    """Counts the points at which a process may die, and dies at the one that was chosen."""

    def __init__(self, at=None):
        self.at = at
        self.passed = 0

    def point(self):
        self.passed += 1
        if self.at is not None and self.passed == self.at:
            raise Killed

    def guard_database(self, db):
        run, fetch = db._run, db.fetch_all

        async def guarded_run(sql, values):
            if sql == "BEGIN IMMEDIATE":
                return await run(sql, values)
            self.point()
            result = await run(sql, values)
            self.point()
            return result

        async def guarded_fetch(sql, values=()):
            if sql.startswith("SELECT"):
                return await fetch(sql, values)
            self.point()
            result = await fetch(sql, values)
            self.point()
            return result

        db._run, db.fetch_all = guarded_run, guarded_fetch

    def guard_publisher(self, publisher):
        for name in CALLS:
            setattr(publisher, name, self._guarded(getattr(publisher, name)))

    def _guarded(self, call):
        async def guarded(*args):
            self.point()
            result = await call(*args)
            self.point()
            return result

        return guarded


@dataclass
class Clock:
    now: datetime = START

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)

    def advance(self, **kwargs):
        self.now += timedelta(**kwargs)


class Reader:
    """Discord, as far as votes go."""

    def __init__(self):
        self.reactions = Votes()
        self.approvers = {ANNA, BEN, CARL}
        self.gone = False
        self.down = False
        self.reads = 0

    async def votes(self, draft):
        self._answer()
        return None if self.gone else self.reactions

    async def is_approver(self, user_id):
        self._answer()
        return user_id in self.approvers

    def _answer(self):
        self.reads += 1
        if self.down:
            raise ProviderError("Discord", "does not answer", True)


@dataclass(frozen=True)
class Facts:
    size_bytes: int = 5_000_000
    duration_s: float = 24.0
    width: int = 1080
    height: int = 1920
    video_codec: str = "h264"
    audio_codec: str = "aac"
    moov_first: bool = True
    edit_list: bool = False
    loudness_lufs: float = -14.0


class Channel:
    """Everything that outlives a kill, and the services of the living process."""

    def __init__(self, folder, ig, clock, *, platform, approvals_needed, timeout_s):
        self.folder, self.ig, self.clock = DataFolder(folder), ig, clock
        self.platform = platform
        self.token = TOKEN  # META_ACCESS_TOKEN; another one counts from the next start on
        self.approvals_needed = approvals_needed
        self.timeout_s = timeout_s
        self.reader = Reader()
        self.events = []
        self.facts = Facts()
        self.show = SHOW

    async def start(self, kill=None):
        """A new process on the same files."""
        self.db = await Database.open(self.folder.database)
        self.publisher = self._publisher()
        if kill is not None:
            kill.guard_database(self.db)
            kill.guard_publisher(self.publisher)
        self.episodes, self.messages = Episodes(self.db), Messages(self.db)
        self.posts = Posts(self.db)
        self.reviews = Reviews(db=self.db, approvals_needed=self.approvals_needed, clock=self.clock)
        self.reels = OutgoingReels(
            db=self.db,
            folder=self.folder,
            show=self.show,
            account=self.publisher.account,
            ai_label=True,
            max_hashtags=5,
            probe=lambda path: self.facts,
        )
        self.publishing = Publishing(
            db=self.db,
            publisher=self.publisher,
            reels=self.reels,
            reviews=self.reviews,
            reader=self.reader,
            on_event=self.events.append,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    async def stop(self):
        await self.db.close()
        if isinstance(self.publisher, InstagramPublisher):
            await self.publisher.close()

    async def restart(self, kill=None):
        await self.stop()
        await self.start(kill)

    def _publisher(self):
        if self.platform == "folder":
            return FolderPublisher(self.folder.path / "posts")
        return InstagramPublisher(
            keeper=TokenKeeper(
                given=SecretStr(self.token),
                file=TokenFile(self.folder.secrets / "instagram.json"),
                graph_url=self.ig.graph_url,
                app_id=self.ig.tokens.app_id,
                app_secret=SecretStr(self.ig.tokens.app_secret),
                clock=self.clock,
            ),
            user_id=self.ig.user_id,
            graph_url=self.ig.graph_url,
            upload_url=self.ig.upload_url,
            clock=self.clock,
            timeout_s=self.timeout_s,
        )

    async def reel(self, *, best_before=None, caption="A dog and a squirrel walk in."):
        """A finished reel in review, with its draft."""
        episode = await self.episodes.create(
            topic="squirrels", best_before=best_before, now=self.clock()
        )
        await self.render(episode.id, 1, caption=caption)
        await self.episodes.move(episode.id, EpisodeState.IN_REVIEW, who="studio", now=self.clock())
        await self.draft(episode.id)
        return episode.id

    async def render(self, episode, revision, caption="A dog and a squirrel walk in."):
        files = self.folder.revision(episode, revision)
        files.mkdir(parents=True)
        reel, cover = mp4(f"reel {episode}.{revision} "), b"\xff\xd8\xff cover"
        (files / "reel.mp4").write_bytes(reel)
        (files / "cover.jpg").write_bytes(cover)
        script, voices, video = sections(episode, reel, cover, caption)
        for name, section in (("script", script), ("voices", voices), ("video", video)):
            await self.episodes.save_section(episode, revision, name, section.model_dump_json())
        text = self.show.post_text(episode, script.caption, script.hashtags)
        mark = self.reels.mark(video.sha256, video.cover_sha256, text)
        await self.episodes.set_fingerprint(episode, revision, mark)

    async def draft(self, episode_id):
        episode = await self.episodes.get(episode_id)
        revision = await self.episodes.revision(episode_id, episode.revision)
        return await self.messages.add(
            9000 + 10 * episode_id + episode.revision,
            channel_id=1,
            kind="draft",
            episode_id=episode_id,
            revision=episode.revision,
            fingerprint=revision.fingerprint,
            now=self.clock(),
        )

    async def approved_reel(self, **kwargs):
        episode_id = await self.reel(**kwargs)
        episode = await self.episodes.get(episode_id)
        draft = await self.messages.open_draft(episode_id, episode.revision)
        self.reader.reactions = Votes(approve=frozenset({ANNA}))
        await self.reviews.sync(draft, self.reader.reactions)
        return episode_id

    async def state(self, episode_id):
        return (await self.episodes.get(episode_id)).state

    async def post(self, episode_id):
        return await self.posts.find(episode_id, self.platform)

    async def settle(self, episode_id, slot, *, hours=30):
        """Let the clock run, as the scheduler would, until the post is settled."""
        await self.publishing.recover()
        await self.publishing.run_slot(slot)
        for _ in range(hours * 6):
            post = await self.post(episode_id)
            if post is not None and post.state in SETTLED:
                return post
            self.clock.advance(minutes=10)
            await self.publishing.resume_due()
        return await self.post(episode_id)

    def sha256(self, episode_id, revision=1):
        path = self.folder.revision(episode_id, revision) / "reel.mp4"
        return hashlib.sha256(path.read_bytes()).hexdigest()


def sections(episode, reel, cover, caption):
    script = Script(
        lines=(Line(index=1, character="Butcher", text="Hello.", emotion=Emotion.HAPPY),),
        caption=caption,
        hashtags=("dogs", "squirrels"),
    )
    line = SpokenLine(
        index=1,
        character="Butcher",
        text="Hello.",
        emotion=Emotion.HAPPY,
        audio_file="audio/001.wav",
        start_time=0.2,
        duration=1.0,
        end_time=1.2,
        words=(Word(text="Hello.", start=0.2, end=1.2),),
        sha256="0" * 64,
        sample_rate=24000,
    )
    voices = Voices(episode=episode, provider="offline", lines=(line,), total_duration=1.4)
    video = Video(
        episode=episode,
        sha256=hashlib.sha256(reel).hexdigest(),
        cover_sha256=hashlib.sha256(cover).hexdigest(),
        size_bytes=len(reel),
        duration_s=24,
        width=1080,
        height=1920,
        fps=30,
        frames=720,
        loudness_lufs=-14,
        peak_dbtp=-1.5,
        longest_silence_s=0.3,
    )
    return script, voices, video


@pytest.fixture
async def open_channel(tmp_path):
    """Opens channels, each with its own Instagram and folder."""
    async with AsyncExitStack() as stack:
        count = 0

        async def open_one(
            *, platform="instagram", approvals_needed=1, timeout_s=5.0, processing_s=0.0, kill=None
        ):
            nonlocal count
            count += 1
            clock = Clock()
            ig = await stack.enter_async_context(
                InstagramSandbox(TOKEN, processing_s=processing_s, now=clock)
            )
            folder = tmp_path / str(count)
            folder.mkdir()
            made = Channel(
                folder,
                ig,
                clock,
                platform=platform,
                approvals_needed=approvals_needed,
                timeout_s=timeout_s,
            )
            await made.start(kill)
            stack.push_async_callback(made.stop)
            return made

        yield open_one


@pytest.fixture
async def channel(open_channel):
    return await open_channel()


@pytest.fixture
def slot():
    return Slot(key="2026-03-02 18:00 UTC", at=START)


@pytest.fixture
def bad_facts():
    return lambda **changes: replace(Facts(), **changes)


@pytest.fixture
def every_kill(open_channel, slot):
    """Kills the process at each point in turn, restarts it, and collects what came of it."""

    async def run(prepare=lambda channel: None, *, points=None, **kwargs):
        results = []
        for at in points or range(1, 1000):
            channel = await open_channel(**kwargs)
            episode_id = await channel.approved_reel()
            prepare(channel)
            kill = KillSwitch(at)
            await channel.restart(kill)
            with suppress(Killed):
                await channel.publishing.run_slot(slot)
            died = kill.passed >= at
            await channel.restart()
            post = await channel.settle(episode_id, slot)
            results.append((at, post.state if post else None, len(channel.ig.posts)))
            assert channel.ig.refused_repeats == 0
            await channel.stop()
            if not died:
                break
        return results

    return run

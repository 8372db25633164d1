"""The real bot in a process of its own, on a copy of a DATA_DIR with one finished short reel."""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standins.services import Services, give_voices

from bot.app import open_studio
from bot.evening import META_TOKEN, Evening
from bot.sandbox.discord import DiscordSandbox
from bot.sandbox.instagram import InstagramSandbox
from bot.settings import load_settings
from pipeline.script_files import read_script

HERE = Path(__file__).parent
TINY_SHOW = HERE.parent / "fixtures" / "tiny_show"
NEVER = "0 0 1 1 *"
LINES = (
    ("Boxy", "Look, a tower.", "neutral"),
    ("Rolly", "I want it!", "excited"),
    ("Boxy", "It is not for sale.", "sarcastic"),
    ("Rolly", "I paid with a nut!", "happy"),
    ("Boxy", "Then it is our tower.", "surprised"),
)
SETTINGS = {"show": "tiny_show", "video_fps": "23", "trends": "offline", "render_workers": "2"}


async def waited(look, timeout_s):
    async with asyncio.timeout(timeout_s):
        while True:
            if found := look():
                return found
            await asyncio.sleep(0.05)


@dataclass
class Night(Evening):
    """An evening in which the test says when a slot comes, and at which step the bot dies."""

    @property
    def slots_file(self):
        return self.folder / "slots.txt"

    @property
    def journal(self):
        """Every step the bots of this night have taken, in order."""
        file = self.folder / "journal.txt"
        return file.read_text().splitlines() if file.exists() else []

    def steps(self, prefix):
        return [line for line in self.journal if line.startswith(prefix)]

    def plan(self, **options):
        """`arm`, `die`, `count` and `repair_s` of the launcher, for the next start."""
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        launcher = str(HERE / "launcher.py")
        files = (str(self.folder / "journal.txt"), str(self.slots_file))
        self.command = (sys.executable, launcher, *files, *words)

    async def launch(self, **options):
        """Start a bot that lives, and wait until it is on the gateway."""
        self.plan(**options)
        await self.start(timeout_s=60)

    async def launch_to_die(self, die, **options):
        """Start a bot that kills itself at the step; it may do so before it is ready."""
        self.plan(die=die, **options)
        await self.spawn()

    async def died(self, timeout_s=90):
        """Wait for the bot's death, then see that nothing of it is left soon after."""
        assert await self.ended(timeout_s) == -signal.SIGKILL
        await self.nobody_is_left()

    async def ended(self, timeout_s):
        """The exit code."""
        return await asyncio.wait_for(self.process.wait(), timeout_s)

    async def dies_before(self, step, timeout_s=90):
        """Whether the bot ends before it takes a step."""
        await waited(lambda: self.process.returncode is not None or step in self.journal, timeout_s)
        return self.process.returncode is not None

    async def nobody_is_left(self):
        with suppress(TimeoutError):
            await waited(lambda: not self.alive(), 30)
        assert self.alive() == []

    def alive(self):
        """(pid, command) of every process that works in this night's folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
                around = (process / "environ").read_bytes() + words
                cwd = (process / "cwd").readlink()
            except OSError:
                continue  # ended meanwhile, or somebody else's
            if cwd.is_relative_to(self.folder) or str(self.folder).encode() in around:
                found.append((int(process.name), words.replace(b"\0", b" ").decode()))
        return found

    def workers(self):
        return [pid for pid, command in self.alive() if "pipeline.worker" in command]

    # Looking into the database, while nobody has just been killed

    def rows(self, sql, *values):
        with closing(sqlite3.connect(self.data_dir / "studio.db", timeout=10)) as connection:
            return connection.execute(sql, values).fetchall()

    async def until(self, look, timeout_s=60.0):
        """Wait until `look()` is true; its value."""

        def look_while_it_lives():
            assert self.process.returncode is None, self.log_file.read_text()[-3000:]
            return look()

        return await waited(look_while_it_lives, timeout_s)

    async def until_state(self, state, timeout_s=60.0):
        sql = "SELECT 1 FROM episodes WHERE id = 1 AND state = ?"
        await self.until(lambda: self.rows(sql, state), timeout_s)

    async def until_running(self, stage, *, fraction=0.0, timeout_s=90.0):
        sql = "SELECT 1 FROM jobs WHERE stage = ? AND state = 'running' AND fraction >= ?"
        await self.until(lambda: self.rows(sql, stage, fraction), timeout_s)

    async def schedule_runs(self):
        """Slots before the first start of the schedule are nobody's."""
        sql = "SELECT 1 FROM notes WHERE name = 'schedule_since'"
        await self.until(lambda: self.rows(sql))

    # What people and the clock do

    def slot(self):
        """A publishing slot comes now; returns its key."""
        key = datetime.now(UTC).isoformat()
        with self.slots_file.open("a") as file:
            file.write(f"{key}\n")
        return key

    async def slot_ends(self, timeout_s=60.0):
        """A slot comes now; its outcome."""
        await self.schedule_runs()
        key = self.slot()
        sql = "SELECT outcome FROM slots WHERE slot = ? AND outcome != 'posting'"
        return (await self.until(lambda: self.rows(sql, key), timeout_s))[0][0]

    async def ask(self, member, command, options=None, *, timeout_s=30.0):
        """Use a slash command; the text of the reply."""
        interaction = self.discord.invoke(member, command, options)
        await interaction.answered(10)
        return (await interaction.replied(timeout_s)).content

    async def told(self, member, command, words, options=None, *, timeout_s=60.0):
        """Use a slash command and wait until its reply holds these words."""
        interaction = self.discord.invoke(member, command, options)
        await self.until(lambda: any(words in m.content for m in interaction.messages), timeout_s)

    async def edit(self):
        """Change a line of the finished reel: it is made again from its voices."""
        await self.draft(1)
        line = {"episode": 1, "line": 2, "text": "I need it now!"}
        await self.ask(self.approver, "script edit", line)

    async def second_revision_goes_out(self):
        await self.approve(await self.draft(1, 2, timeout_s=240))
        assert await self.slot_ends() == "posted"
        (post,) = self.instagram.posts
        assert post.sha256 == self.approved_sha256()

    async def settled(self):
        """A round trip, so that whatever people did before it has reached the bot."""
        await self.ask(self.approver, "publish queue")

    async def approve(self, draft, *members):
        """✅ by the approver, or by these members at the same moment; wait until it stands."""
        for member in members or (self.approver,):
            self.discord.react(member, draft, "✅")
        await self.until_state("approved")

    def drafts(self):
        """Draft messages that people can see, of any revision."""
        return [
            message
            for message in self.discord.messages(self.discord.approvals)
            if any("revision" in e.get("footer", {}).get("text", "") for e in message.embeds)
        ]

    def approved_sha256(self):
        (section,) = self.rows(
            "SELECT video FROM revisions JOIN episodes ON id = episode_id AND number = revision"
            " WHERE id = 1"
        )[0]
        return json.loads(section)["sha256"]


@asynccontextmanager
async def night_in(folder, *, upload_limit_bytes=None, **extra):
    async with (
        DiscordSandbox(upload_limit_bytes=upload_limit_bytes) as discord,
        InstagramSandbox(META_TOKEN) as instagram,
    ):
        approver = discord.add_member("Margot", [discord.approver])
        settings = {name.upper(): value for name, value in SETTINGS.items()}
        settings |= {"PUBLISH_CRON": NEVER, **extra}
        night = Night(folder, discord, instagram, approver, settings)
        night.plan()
        try:
            yield night
        finally:
            if night.process is not None and night.process.returncode is None:
                await night.kill()


async def make_short_reel(data_dir):
    shutil.copytree(TINY_SHOW, data_dir / "shows" / "tiny_show")
    # What people approve names the account, so it must be the one that the nights post to.
    account = {
        "publisher": "instagram",
        "meta_access_token": META_TOKEN,
        "instagram_user_id": InstagramSandbox(META_TOKEN).user_id,
    }
    settings = load_settings(None, data_dir=data_dir, **SETTINGS, **account)
    async with open_studio(settings, "A test") as studio:
        lines = [
            {"index": number, "character": character, "text": text, "emotion": emotion}
            for number, (character, text, emotion) in enumerate(LINES, start=1)
        ]
        given = {"lines": lines, "caption": "A tower for a nut.", "hashtags": ["tower"]}
        script = read_script(json.dumps(given), studio.show, settings.studio_config().script)
        await studio.start_engine()
        episode = await studio.episodes.from_script(script, "A test")
        await studio.episodes.render(episode.id)
        await studio.engine.finished()
        view = await studio.episodes.view(episode.id)
    assert view.preview is not None, "the short reel could not be made"


@pytest.fixture(scope="session")
def short_reel(tmp_path_factory):
    """A DATA_DIR whose only episode is finished and waits for its draft."""
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent  # what all processes of this run share
    finished = run / "finished_reel"
    with (run / "finished_reel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            data_dir = tmp_path_factory.mktemp("short_reel") / "data"
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, make_short_reel(data_dir)).result()
            data_dir.rename(finished)
    return finished


@pytest.fixture
def open_night(short_reel, tmp_path):
    """`async with open_night(SETTING="value") as night`: on a copy of the finished reel."""

    @asynccontextmanager
    async def opened(name="night", **settings):
        shutil.copytree(short_reel, tmp_path / name / "data")
        async with night_in(tmp_path / name, **settings) as night:
            yield night

    return opened


@pytest.fixture
async def night(open_night):
    async with open_night() as opened:
        yield opened


@pytest.fixture
async def empty_night(tmp_path):
    """The same, before the first reel."""
    shutil.copytree(TINY_SHOW, tmp_path / "night" / "data" / "shows" / "tiny_show")
    async with night_in(tmp_path / "night") as opened:
        yield opened


@pytest.fixture
def open_online_night(tmp_path):
    """`async with open_online_night() as (night, services)`: before the first reel, with
    stand-ins for all services; `voices` are options of the one that speaks."""

    @asynccontextmanager
    async def opened(name="night", *, writer="openai", voices=None, finished=None, **settings):
        data_dir = tmp_path / name / "data"
        if finished is not None:
            shutil.copytree(finished, data_dir)
        else:
            shutil.copytree(TINY_SHOW, data_dir / "shows" / "tiny_show")
        give_voices(data_dir / "shows" / "tiny_show" / "show.yaml")
        with Services(**(voices or {})) as services:
            given = {"TRENDS": "offline", **services.settings(writer=writer), **settings}
            async with night_in(tmp_path / name, **given) as night:
                yield night, services

    return opened

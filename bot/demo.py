"""`emf demo`: one evening of the channel, from a slash command to a post, all on this machine."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import time
from pathlib import Path

from rich.progress import Progress, TaskID

from bot.console import bars, console
from bot.evening import Evening, evening
from bot.sandbox.discord import Message
from bot.sandbox.instagram import Post
from pipeline.errors import UserError
from pipeline.sections import Preview, Video
from pipeline.services.episodes import speakable_topic
from storage.database import Database
from storage.episodes import Episodes
from storage.files import write_atomically
from storage.metrics import Metrics
from storage.records import GenerationMetrics

MARKER = ".emf-demo"
"""Lies in a folder that a demo made, so that the next one may clear it."""
STAGE_WORDS = {
    "looking": "trends",
    "writing": "script",
    "speaking": "voices",
    "choosing": "images",
    "drawing": "video",
    "preparing": "video",
}


async def play(folder: Path, topic: str | None, *, keep_open: bool) -> int:
    """Play the evening and say where everything is; 0 when the approved bytes are public."""
    folder = folder.absolute()
    if topic is not None:
        speakable_topic(topic)
    _clear(folder)
    async with evening(folder) as world:
        console.print("Starting Discord and Instagram on this machine, and the real bot.")
        began = time.monotonic()
        await world.start()
        console.print(f"The bot is ready after {time.monotonic() - began:.1f} s.")
        draft = await _make(world, topic)
        console.print(f"{world.approver.name} looks at the draft and reacts with ✅.")
        world.discord.react(world.approver, draft, "✅")
        console.print("Approved. Waiting for the next slot (one every minute)…")
        await world.posted()
        await _told(world)
        code = await _report(world, world.instagram.posts[0])
        if keep_open:
            await _keep_open(world)
        await world.stop()
    return code


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise UserError(f"{folder} holds other things; name an empty folder with --dir.")
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != MARKER:
                path.unlink()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another.") from None


async def _make(world: Evening, topic: str | None) -> Message:
    """/make, and its progress as the channel sees it."""
    options = {} if topic is None else {"topic": topic}
    shown = " ".join(f"{name}:{value}" for name, value in options.items())
    console.print(f"{world.approver.name} types /make {shown}".rstrip())
    interaction = world.discord.invoke(world.approver, "make", options)
    await interaction.answered(10)
    with bars() as progress:
        watching = asyncio.create_task(_watch(world, progress))
        try:
            return await _draft_or_failure(world)
        finally:
            watching.cancel()


async def _draft_or_failure(world: Evening) -> Message:
    draft = asyncio.create_task(world.draft(1))
    failure = asyncio.create_task(
        world.discord.wait_for_message(
            lambda message: "stopped while" in message.content or "refus" in message.content, 200
        )
    )
    done, pending = await asyncio.wait({draft, failure}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if failure in done:
        raise UserError(failure.result().content)
    return draft.result()


async def _watch(world: Evening, progress: Progress) -> None:
    """Turn the text of the progress message into bars, one per stage."""
    tasks: dict[str, TaskID] = {}
    share = re.compile(r"(\d+)% · (\w+)")
    while True:
        texts = [m.content for m in world.discord.messages(world.discord.general)]
        for found in filter(None, (share.search(text) for text in texts)):
            name = STAGE_WORDS.get(found[2], found[2])
            for other, task in tasks.items():
                if other != name:
                    progress.update(task, completed=100)
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=100, note="")
            progress.update(tasks[name], completed=int(found[1]), note="of the reel")
        await asyncio.sleep(0.2)


async def _told(world: Evening) -> None:
    """The bot says in the channel that the post is public."""
    await world.discord.wait_for_message(lambda message: "is public" in message.content, 30)


async def _report(world: Evening, post: Post) -> int:
    async with await Database.open(world.data_dir / "studio.db") as database:
        video = Video.model_validate_json(await Episodes(database).section(1, 1, "video"))
        preview = Preview.model_validate_json(await Episodes(database).section(1, 1, "preview"))
        metrics = await Metrics(database).get(1, 1)
    made = world.data_dir / "episodes" / "1" / "v1"
    facts = {
        "reel": str(made / video.reel),
        "cover": str(made / video.cover),
        "storyboard": str(made / video.storyboard),
        "preview": str(made / preview.path),
        "approved_sha256": video.sha256,
        "post": {
            "id": post.id,
            "permalink": post.permalink,
            "sha256": post.sha256,
            "caption": post.caption,
        },
        "seconds": _seconds(metrics),
    }
    write_atomically(world.folder / "demo.json", json.dumps(facts, indent=1).encode())
    same = post.sha256 == video.sha256
    lines = [
        f"Reel:       {facts['reel']}",
        f"Cover:      {facts['cover']}",
        f"Storyboard: {facts['storyboard']}",
        f"Post:       {post.permalink} (SHA-256 {post.sha256}, "
        f"{'as approved' if same else 'NOT what was approved'})",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return 0 if same else 1


def _seconds(metrics: GenerationMetrics | None) -> dict[str, float]:
    if metrics is None:
        return {}
    took = {
        "trends": metrics.seconds_trends,
        "script": metrics.seconds_script,
        "voices": metrics.seconds_audio,
        "images": metrics.seconds_images,
        "video": metrics.seconds_video,
        "total": metrics.seconds_total,
    }
    return {name: seconds for name, seconds in took.items() if seconds is not None}


async def _keep_open(world: Evening) -> None:
    from bot.sandbox.page import channel_page

    async with channel_page(world.discord, world.instagram, open_browser=True) as url:
        sys.stdout.write(f"The channel is at {url}; Ctrl+C ends the evening.\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

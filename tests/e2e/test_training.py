"""An evening of training: pictures in, votes on checkpoints, a death, and the model in a reel."""

import asyncio
import io
import json
import os
import random
import shutil
import struct
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
LABEL = "1 to 10 pictures, as JPEG, PNG or WebP"
STEPS = 800
"""More than are done before the pause; the launcher has a checkpoint after every 20."""
FIRST, SECOND = 20, 40
CHARACTER = "Boxy"


def picture(seed):
    """A PNG unlike those of other seeds, with edges, and large enough."""
    dice = random.Random(seed)
    colours = [tuple(dice.randrange(256) for _ in range(3)) for _ in range(64)]
    small = Image.new("RGB", (8, 8))
    small.putdata(colours)
    data = io.BytesIO()
    small.resize((576, 576), Image.Resampling.NEAREST).save(data, "PNG")
    return data.getvalue()


def bomb():
    """A small PNG of 144 million pixels."""
    side = 12000
    rows = zlib.compress((b"\0" + bytes(side // 8)) * side)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", rows))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in (*chunks, (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data)
        parts.append(struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


HOSTILE = [
    ("page.html.png", b"<html><script>alert(1)</script></html>"),
    ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    ("bomb.png", bomb()),
    ("../../studio.db", picture(1)[:3000]),
    ("@everyone **all**.png", b"PK\x03\x04" + bytes(200)),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base with random weights, made by a process of its own."""
    folder = tmp_path_factory.mktemp("bases") / "tiny"

    async def make():
        code = "import sys, pathlib, bench.random_base as b; b.make_base(pathlib.Path(sys.argv[1]))"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, str(folder)),
            cwd=REPOSITORY,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0

    return folder, make


@pytest.fixture
async def evening(base, open_night):
    """A night whose only episode is made, with a base to train on."""
    folder, make = base
    if not (folder / "model_index.json").exists():
        await make()
    async with open_night(IMAGES="library") as night:
        shutil.copytree(folder, night.data_dir / "bases" / "tiny")
        yield night


def text_of(message):
    return f"{message.content} {json.dumps(message.embeds, ensure_ascii=False)}".replace("\\\\", "")


async def upload(night, files):
    """Fill the form; what its answer has become."""
    opened = night.discord.invoke(night.approver, "train upload", {"character": CHARACTER})
    await opened.answered(10)
    sent = night.discord.submit_modal(opened, {LABEL: files})
    await sent.answered(10)
    await night.until(lambda: any("taken," in text_of(m) for m in sent.messages), 120)
    return text_of(sent.messages[0])


async def checkpoint(night, step):
    """The message of a checkpoint, with all its reactions there."""

    def fits(message):
        footers = [embed.get("footer", {}).get("text", "") for embed in message.embeds]
        is_it = any(text.endswith(f"· step {step}") for text in footers)
        return is_it and len(message.reactions) == 3

    return await night.until(
        lambda: next(filter(fits, night.discord.messages(night.discord.approvals)), None), 240
    )


def run_row(night):
    return night.rows("SELECT state, step FROM training_runs")[0]


async def until_run(night, state, *, step=0, timeout_s=120.0):
    def look():
        now, at = run_row(night)
        return now == state and at >= step

    await night.until(look, timeout_s)


def events(night):
    """What the trainer has told."""
    (file,) = night.data_dir.glob("models/*/events.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def trainers(night):
    return [pid for pid, command in night.alive() if "training.dreambooth" in command]


async def shown(night, message, words, timeout_s=120.0):
    await night.until(lambda: words in message.content, timeout_s)


async def pictures_and_start(night):
    good = [(f"{n}.png", picture(n)) for n in range(15)]
    first = await upload(night, [*good[:7], *HOSTILE[:3]])
    assert "7 pictures taken, 3 refused" in first
    assert "bomb.png has more than" in first
    second = await upload(night, [*good[7:], *HOSTILE[3:]])
    assert "8 pictures taken, 2 refused. Boxy has 15 pictures now." in second
    assert "@everyone **" not in second
    options = {"character": CHARACTER, "steps": STEPS}
    assert "Training 1 of Boxy begins" in await night.ask(night.approver, "train start", options)


async def paused_killed_and_resumed(night):
    """Two checkpoints are shown, ⏸️, kill -9, and only a person makes it go on."""
    first = await checkpoint(night, FIRST)
    second = await checkpoint(night, SECOND)
    assert [a.filename for a in second.attachments] == ["grid.png"]
    night.discord.react(night.approver, second, "⏸️")
    await until_run(night, "paused")
    await night.kill()
    await night.nobody_is_left()
    saved = events(night)[-1]
    assert saved["kind"] == "stopped"
    await night.launch()
    await night.settled()
    assert run_row(night)[0] == "paused"
    assert trainers(night) == []
    await night.ask(night.approver, "train resume")
    await until_run(night, "running", step=saved["step"] + 1)
    assert [e["step"] for e in events(night) if e["kind"] == "started"] == [0, saved["step"]]
    assert [first, second] == [await checkpoint(night, FIRST), await checkpoint(night, SECOND)]
    return second


async def promoted(night, message):
    night.discord.react(night.approver, message, "✅")
    await shown(night, message, "is in use")
    assert night.rows("SELECT character, step FROM promotions WHERE ended_at IS NULL") == [
        (CHARACTER, SECOND)
    ]


async def test_a_training_is_voted_on_and_outlives_a_death_of_the_bot(evening):
    night = evening
    await night.launch()
    await pictures_and_start(night)
    second = await paused_killed_and_resumed(night)
    await promoted(night, second)
    live = [m for m in night.discord.messages(night.discord.general) if "Training 1" in text_of(m)]
    assert [a.filename for m in live for a in m.attachments] == ["loss.png"]
    night.discord.react(night.approver, await checkpoint(night, FIRST), "❌")
    await until_run(night, "stopped")
    await night.discord.wait_for_message(lambda m: "was stopped" in m.content, 60)
    await night.until(lambda: trainers(night) == [])


def library(night):
    """Paths of the pictures that a model drew and people took."""
    return [row[0] for row in night.rows("SELECT path FROM image_library WHERE source = 'model'")]


async def board(night):
    """The message of what a model drew for the library, with its reactions."""

    def look(message):
        is_board = "drawn by the model" in message.content
        return is_board and len(message.reactions) >= 4

    return await night.until(
        lambda: next(filter(look, night.discord.messages(night.discord.approvals)), None), 300
    )


@pytest.mark.slow
async def test_what_a_promoted_model_drew_is_seen_in_the_next_reel(evening):
    night = evening
    await night.launch()
    await pictures_and_start(night)
    second = await paused_killed_and_resumed(night)
    await promoted(night, second)
    assert library(night) == []
    night.discord.react(night.approver, await checkpoint(night, FIRST), "❌")
    await until_run(night, "stopped")

    message = await board(night)
    assert library(night) == []
    night.discord.react(night.approver, message, "2️⃣")
    night.discord.react(night.approver, message, "✅")
    await night.until(lambda: library(night), 60)
    drawn = night.rows("SELECT path FROM proposed_pictures ORDER BY number")
    assert sorted(library(night)) == sorted(path for n, (path,) in enumerate(drawn, 1) if n != 2)

    line = {"episode": 1, "line": 2, "text": "I want all of it, every single brick of that tower!"}
    await night.ask(night.approver, "script edit", line)
    draft = await night.draft(1, 2, timeout_s=300)
    selections = night.data_dir / "episodes" / "1" / "v2" / "image_selections.json"
    chosen = json.loads(selections.read_text())
    (reaction,) = chosen["cutaways"]
    assert reaction["character"] == CHARACTER
    assert reaction["image_path"] in library(night)
    await night.approve(draft)
    assert await night.slot_ends() == "posted"
    (post,) = night.instagram.posts
    assert post.sha256 == night.approved_sha256()

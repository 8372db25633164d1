"""The running bot as a process: how it starts, what it keeps to itself, who else may come near."""

import asyncio
import os
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from pathlib import Path

CANARIES = {
    "OPENAI_API_KEY": "canary-openai-9f27",
    "ANTHROPIC_API_KEY": "canary-anthropic-1b3c",
    "ELEVENLABS_API_KEY": "canary-elevenlabs-77de",
    "META_APP_SECRET": "canary-meta-secret-41aa",
    "HF_TOKEN": "canary-hugging-face-0c5e",
}
LOOKING = (
    ("status", {}),
    ("help", {}),
    ("trends list", {}),
    ("script show", {"episode": 1}),
    ("render status", {}),
    ("publish queue", {}),
    ("publish dry-run", {"episode": 1}),
)
INSTEAD = {
    "/make": ("make",),
    "/trends fetch": ("trends", "fetch"),
    "/script write": ("script", "--topic", "toast"),
    "/render start": ("video", "1"),
    "/publish now": ("publish", "1"),
}
SEED_SQL = (
    "SELECT COUNT(*) FROM trends;",
    "SELECT * FROM generation_metrics ORDER BY timestamp DESC LIMIT 1;",
    "SELECT character, emotion, usage_count FROM image_library ORDER BY usage_count DESC LIMIT 5;",
)


async def emf(night, *words):
    """Run the command line beside the bot: exit code, what it printed, its complaint."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *words),
        env=night.environment(),
        cwd=night.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode(), complaint.decode()


def cpu_seconds(pid):
    """What a process has computed, which a busy machine makes no longer."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_the_bot_is_ready_within_5_s_and_never_loads_torch(night):
    began = time.monotonic()
    await night.launch()
    took_s = time.monotonic() - began
    computed_s = cpu_seconds(night.process.pid)
    sys.stdout.write(f"ready after {took_s:.2f} s, of which {computed_s:.2f} s computing\n")
    await night.draft(1)
    maps = Path(f"/proc/{night.process.pid}/maps").read_text()
    assert computed_s < 3.0  # discord.py waits 2 s by itself
    assert "/python" in maps
    assert "torch" not in maps


async def test_no_worker_and_no_file_holds_a_secret(open_night):
    async with open_night(**CANARIES) as night:
        secrets = [night.discord.token, night.instagram.token, *CANARIES.values()]
        await night.launch()
        await night.edit()
        await night.until_running("video", fraction=0.1)
        seen = b"".join(around(pid) for pid in night.workers())
        await night.second_revision_goes_out()
        await night.stop()
    files = {path: path.read_bytes() for path in night.folder.rglob("*") if path.is_file()}
    assert seen
    assert [secret for secret in secrets if secret.encode() in seen] == []
    assert night.data_dir / "studio.db" in files
    assert night.log_file in files
    assert [
        (path, secret)
        for path, data in files.items()
        for secret in secrets
        if secret.encode() in data
    ] == []


def around(pid):
    """What others on the machine may read of a process."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline"))


async def test_a_second_bot_on_the_same_folder_is_refused_in_one_sentence(night):
    await night.launch()
    code, output, complaint = await emf(night, "run")
    assert (code, output) == (2, "")
    assert complaint.splitlines()[-1].startswith("A bot (pid ")
    assert "Traceback" not in complaint
    assert await night.ask(night.approver, "publish queue")


async def test_commands_that_write_name_the_slash_command_while_a_bot_runs(night):
    await night.launch()
    answers = await asyncio.gather(*(emf(night, *words) for words in INSTEAD.values()))
    for slash, (code, output, complaint) in zip(INSTEAD, answers, strict=True):
        assert (code, output) == (2, "")
        assert slash in complaint
        assert len(complaint.strip().splitlines()) == 1


async def test_health_follows_the_bot(night):
    await night.launch()
    await night.draft(1)
    assert (await emf(night, "health"))[0] == 0
    await night.kill()
    assert (await emf(night, "health"))[0] == 1


async def test_the_seed_s_statements_run_on_the_database(night):
    await night.launch()
    await night.told(night.approver, "trends fetch", "·")
    await night.stop()
    with closing(sqlite3.connect(night.data_dir / "studio.db")) as connection:
        trends, metrics, pictures = (connection.execute(sql).fetchall() for sql in SEED_SQL)
    assert trends[0][0] > 0
    assert len(metrics) == 1
    assert len(pictures) == 5
    assert pictures[0][2] >= pictures[-1][2] >= 1


async def test_every_command_is_answered_in_time_while_a_reel_is_drawn(night):
    await night.launch()
    await night.edit()
    await night.until_running("voices")
    took_s = []
    while not night.rows("SELECT 1 FROM jobs WHERE revision = 2 AND stage = 'preview'"):
        for command, options in LOOKING:
            began = time.monotonic()
            interaction = night.discord.invoke(night.approver, command, options)
            await interaction.answered(10)
            took_s.append(time.monotonic() - began)
            await interaction.replied(30)
    p99_s = statistics.quantiles(took_s, n=100)[-1]
    sys.stdout.write(f"{len(took_s)} answers, p99 {p99_s * 1000:.0f} ms\n")
    assert len(took_s) >= len(LOOKING)
    assert max(took_s) < 3.0

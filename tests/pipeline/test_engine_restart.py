"""kill -9 of a whole bot, at any point, then a restart."""

import asyncio
import fcntl
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.database import Database
from storage.episodes import Episodes
from storage.folder import DataFolder
from storage.jobs import Jobs

STAGES = ("script", "voices", "images", "video")
ONE_NOW_THE_REST_SLOWLY = [
    pytest.param(stage, marks=[] if stage == "voices" else pytest.mark.slow) for stage in STAGES
]
POINTS = ("after the claim", "after the outcome", "between move and commit", "after the commit")


@pytest.fixture
def bot(toys, tmp_path):
    processes = []

    def bot(*arguments):
        command = [sys.executable, str(toys / "toy_bot.py"), str(tmp_path), *arguments]
        process = subprocess.Popen(command)
        processes.append(process)
        return process

    yield bot
    for process in processes:
        process.kill()
        process.wait()


def lines(folder):
    file = folder / "runs.txt"
    return file.read_text().splitlines() if file.exists() else []


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def no_worker_lives(folder):
    return all(is_free(path) for path in (folder / "run").glob("worker-*.lock"))


def is_free(path):
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def stored(folder):
    async def read():
        async with await Database.open(DataFolder(folder).database) as database:
            jobs = await Jobs(database).of_episode(1)
            sections = (await Episodes(database).revision(1, 1)).sections
            told = await database.fetch_all("SELECT * FROM generation_metrics")
            return jobs, sections, told

    return asyncio.run(read())


def starts(folder):
    return {stage: lines(folder).count(f"{stage} start") for stage in STAGES}


@pytest.mark.parametrize("stage", ONE_NOW_THE_REST_SLOWLY)
@pytest.mark.parametrize("point", POINTS)
def test_a_bot_killed_anywhere_goes_on_and_does_nothing_twice(bot, tmp_path, point, stage):
    assert bot(point, stage).wait(30) == -signal.SIGKILL
    wait_until(lambda: no_worker_lives(tmp_path))
    assert bot().wait(30) == 0
    jobs, sections, _ = stored(tmp_path)
    assert [(job.stage, job.state) for job in jobs] == [(name, "succeeded") for name in STAGES]
    assert list(sections) == ["brief", *STAGES]
    assert starts(tmp_path) == dict.fromkeys(STAGES, 1)
    assert (tmp_path / "episodes" / "1" / "v1" / "reel.mp4").read_text() == "made by run 0"
    assert list(tmp_path.glob("jobs/*")) == []


@pytest.mark.parametrize("stage", ONE_NOW_THE_REST_SLOWLY)
def test_a_bot_killed_in_a_stage_takes_its_workers_along_and_does_only_that_stage_again(
    bot, tmp_path, stage
):
    (tmp_path / "plan.json").write_text(json.dumps({stage: ["kill_the_bot"]}))
    assert bot().wait(30) == -signal.SIGKILL
    wait_until(lambda: no_worker_lives(tmp_path))
    pids = [int(line.split()[1]) for line in lines(tmp_path) if line.startswith("pid ")]
    wait_until(lambda: not any(is_alive(pid) for pid in pids))
    assert bot().wait(30) == 0
    assert starts(tmp_path) == {**dict.fromkeys(STAGES, 1), stage: 2}
    assert lines(tmp_path).count(f"{stage} end") == 1
    assert (tmp_path / "episodes" / "1" / "v1" / f"{stage}.txt").read_text() == "made by run 1"


@pytest.mark.slow
def test_a_stage_that_ends_the_bot_every_time_is_given_up(bot, tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps({"script": ["kill_the_bot"] * 20}))
    ends = [bot().wait(30) for _ in range(9)]
    assert ends == [-signal.SIGKILL] * 8 + [0]
    ((job,), _, _) = stored(tmp_path)
    assert (job.state, job.error_kind) == ("failed", "interrupted")
    assert job.error.startswith("The script stage was interrupted 8 times; ")


def test_a_terminated_bot_stops_in_time_and_its_job_goes_on_later(bot, tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps({"voices": ["sleep_with_child"]}))
    process = bot()
    wait_until(lambda: lines(tmp_path).count("voices start") == 1)
    wait_until(lambda: len([line for line in lines(tmp_path) if line.startswith("pid ")]) == 2)
    process.terminate()
    assert process.wait(10) == 0
    assert no_worker_lives(tmp_path)
    jobs, _, _ = stored(tmp_path)
    assert [(job.stage, job.state) for job in jobs] == [
        ("script", "succeeded"),
        ("voices", "queued"),
    ]
    assert bot().wait(30) == 0
    assert starts(tmp_path) == {"script": 1, "voices": 2, "images": 1, "video": 1}


def test_the_metrics_of_a_run_survive_a_kill(bot, tmp_path):
    bot("after the commit", "voices").wait(30)
    bot().wait(30)
    _, _, ((row),) = stored(tmp_path)
    assert (row["result"], row["cost_usd"]) == ("succeeded", 0.5)
    assert row["seconds_total"] >= row["seconds_audio"] > 0

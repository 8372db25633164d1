"""Toy stages: they write down that they ran, then do what DATA_DIR/plan.json says.

The plan maps a stage to what its runs do, one after the other; after the last, and without a
plan, they do it well.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from pipeline.context import CANCEL_FILE, StageContext
from pipeline.errors import ProviderError, UserError


def play(stage: str, ctx: StageContext) -> None:
    run = len(runs(ctx.data_dir, f"{stage} start"))
    note(ctx.data_dir, f"{stage} start")
    (ctx.folder / f"{stage.replace(' ', '-')}.txt").write_text(f"made by run {run}")
    act = ACTS[_planned(ctx.data_dir, stage, run)]
    act(ctx)
    note(ctx.data_dir, f"{stage} end")


def note(data_dir: Path, line: str) -> None:
    with (data_dir / "runs.txt").open("a") as file:
        file.write(line + "\n")


def runs(data_dir: Path, line: str) -> list[str]:
    file = data_dir / "runs.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [found for found in lines if found == line]


def _planned(data_dir: Path, stage: str, run: int) -> str:
    file = data_dir / "plan.json"
    plan = json.loads(file.read_text()).get(stage, []) if file.exists() else []
    return plan[run] if run < len(plan) else "work"


def _work(ctx: StageContext) -> None:
    ctx.report(0.5, "half way")


def _user_error(ctx: StageContext) -> None:
    raise UserError("The topic is too sad; choose another.")


def _provider_error(ctx: StageContext) -> None:
    raise ProviderError("openai", "is overloaded", retryable=True)


def _asked_to_wait(ctx: StageContext) -> None:
    raise ProviderError("openai", "wants a pause", retryable=True, retry_after_s=120.0)


def _refused(ctx: StageContext) -> None:
    raise ProviderError("openai", "does not know this key", retryable=False)


def _bug(ctx: StageContext) -> None:
    raise KeyError("secret detail")


def _tells_the_key(ctx: StageContext) -> None:
    key = ctx.config.api_key.get_secret_value()
    raise ProviderError("openai", f"the key {key} is wrong (?key={quote(key, safe='')})")


def _breaks_over_the_key(ctx: StageContext) -> None:
    raise KeyError(ctx.config.api_key.get_secret_value())


def _die(ctx: StageContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep(ctx: StageContext) -> None:
    note(ctx.data_dir, f"pid {os.getpid()}")
    ctx.report(0.25, "sleeping")
    time.sleep(60)


def _sleep_with_child(ctx: StageContext) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    note(ctx.data_dir, f"pid {child.pid}")
    _sleep(ctx)


def _until_cancelled(ctx: StageContext) -> None:
    ctx.report(0.25, "waiting to be cancelled")
    while True:
        ctx.check_cancelled()
        time.sleep(0.01)


def _stop_when_it_can(ctx: StageContext) -> None:
    while not (ctx.folder / CANCEL_FILE).exists():
        time.sleep(0.01)
    time.sleep(0.3)
    note(ctx.data_dir, "voices finished its line")
    ctx.check_cancelled()


def _end_after_the_stop(ctx: StageContext) -> None:
    ctx.report(0.25, "waiting for the stop")
    while not (ctx.folder / CANCEL_FILE).exists():
        time.sleep(0.01)
    time.sleep(0.3)


def _kill_the_bot(ctx: StageContext) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    _sleep_with_child(ctx)


def _show_environment(ctx: StageContext) -> None:
    for name in ("environ", "cmdline"):
        (ctx.data_dir / name).write_bytes(Path(f"/proc/{os.getpid()}/{name}").read_bytes())


ACTS = {
    "work": _work,
    "user_error": _user_error,
    "provider_error": _provider_error,
    "asked_to_wait": _asked_to_wait,
    "refused": _refused,
    "bug": _bug,
    "tells_the_key": _tells_the_key,
    "breaks_over_the_key": _breaks_over_the_key,
    "die": _die,
    "sleep": _sleep,
    "end_after_the_stop": _end_after_the_stop,
    "sleep_with_child": _sleep_with_child,
    "until_cancelled": _until_cancelled,
    "stop_when_it_can": _stop_when_it_can,
    "kill_the_bot": _kill_the_bot,
    "show_environment": _show_environment,
}

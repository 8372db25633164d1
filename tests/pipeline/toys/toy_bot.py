"""A bot with toy stages in a process of its own: toy_bot.py DATA_DIR [WHERE STAGE].

Makes one episode, or goes on with the one that is there, and ends when it is finished.
With WHERE it kills itself at that point of the stage.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from toy_studio import ToyHooks, toy_studio

from pipeline.executors import process_executors
from pipeline.settlement import Settlement
from storage.folder import DataFolder


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingHooks(ToyHooks):
    def __init__(self, where: str, stage: str) -> None:
        super().__init__()
        self._where = where
        self._stage = stage

    async def facts(self, job, stage):
        if (self._where, self._stage) == ("after the claim", stage):
            die()
        return await super().facts(job, stage)

    async def settled(self, job, stage, result):
        if (self._where, self._stage) == ("between move and commit", stage):
            die()
        await super().settled(job, stage, result)


def die_on_event(where: str, stage: str):
    def hear(event):
        if where == "after the commit" and (event.job.stage, event.kind) == (stage, "succeeded"):
            die()

    return hear


async def main(data_dir: Path, where: str = "", stage: str = "") -> None:
    if where == "after the outcome":

        async def settle(self, job, outcome, settle=Settlement.settle):
            if job.stage == stage:
                die()
            await settle(self, job, outcome)

        Settlement.settle = settle
    executors = process_executors(data_dir / "run", render_workers=1, io_workers=1)
    loop = asyncio.get_running_loop()
    async with toy_studio(
        data_dir,
        executors,
        hooks=DyingHooks(where, stage),
        on_event=die_on_event(where, stage),
    ) as studio:
        with DataFolder(data_dir).lock("A bot"):
            await studio.engine.start()
            if not await studio.episodes.newest():
                await studio.make()
            finished = asyncio.create_task(studio.engine.finished())
            loop.add_signal_handler(signal.SIGTERM, finished.cancel)
            await asyncio.gather(finished, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))

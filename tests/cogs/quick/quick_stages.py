"""The workflow with stages that take no time, and an executor that runs calls when told to."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from pipeline.executors import WorkerDied
from pipeline.workflow import WORKFLOW, Lane, Workflow

QUICK = ("pitches", "voices", "images", "drawings", "video", "preview")
QUICK_WORKFLOW = Workflow(
    tuple(
        replace(stage, module=f"quick_{stage.name}" if stage.name in QUICK else "", fresh=False)
        for stage in WORKFLOW.stages
    )
)


class HandExecutor:
    """Runs a call at once, or, while `holding`, at the next `release()`."""

    def __init__(self) -> None:
        self.workers = 1
        self.holding = False
        self._held: dict[Future[Any], Callable[[], Any]] = {}

    @property
    def held(self) -> int:
        return len(self._held)

    def submit(
        self, function: Callable[..., Any], /, *args: Any, timeout_s: float, fresh: bool = False
    ) -> Future[Any]:
        future: Future[Any] = Future()
        self._held[future] = lambda: function(*args)
        if not self.holding:
            self.release()
        return future

    def release(self) -> None:
        held, self._held = self._held, {}
        for future, call in held.items():
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)

    def cancel(self, future: Future[Any]) -> None:
        if self._held.pop(future, None):
            future.set_exception(WorkerDied())

    def close(self) -> None:
        for future in list(self._held):
            self.cancel(future)


def hand_executors() -> dict[Lane, HandExecutor]:
    return {lane: HandExecutor() for lane in Lane}

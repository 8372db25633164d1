"""A trainer without a network: counts, tells and saves its steps, and obeys as the real one does.

`plan.json` in the folder of the run says what happens: `steps`, `waits_at` a step until it is told
to stop, `dies_at` a step by SIGKILL (or steps, one for each start), `exits` with a code before the
first step, `lines` that it tells first, `validates_at` steps with `losses`, `is_deaf` to signals
and to the pipe's end, `leaves_a_child` that sleeps.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


class Run:
    def __init__(self, folder):
        self.folder = folder
        self.plan = {"steps": 5} | json.loads((folder / "plan.json").read_text())
        self.is_stopping = False

    def tell(self, kind, **values):
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps({"kind": kind, "steps": self.plan["steps"], **values}) + "\n")

    def save(self, step):
        (self.folder / f"checkpoint-{step}").mkdir(exist_ok=True)
        self.tell("checkpoint", step=step, folder=f"checkpoint-{step}")

    def saved(self):
        return max((int(p.name.split("-")[1]) for p in self.folder.glob("checkpoint-*")), default=0)

    def stop(self, *_):
        self.is_stopping = True  # no lock, as it is called by a signal

    def wait(self):
        deadline = time.monotonic() + 120
        while not self.is_stopping and time.monotonic() < deadline:
            time.sleep(0.01)

    def last_step(self):
        last = self.plan.get("dies_at")
        if not isinstance(last, list):
            return last
        starts = (self.folder / "events.jsonl").read_text().count('"started"')
        return last[starts - 1]

    def step(self, step):
        if step == self.last_step():
            os.kill(os.getpid(), signal.SIGKILL)
        if step == self.plan.get("waits_at"):
            self.wait()
        self.tell("step", step=step, loss=1 / step, seconds_left=float(self.plan["steps"] - step))
        if step in self.plan.get("validates_at", ()):
            self.save(step)
            (self.folder / f"validation-{step}").mkdir(exist_ok=True)
            loss = self.plan.get("losses", {}).get(str(step))
            self.tell("validation", step=step, folder=f"validation-{step}", loss=loss)

    def train(self):
        if self.plan.get("leaves_a_child"):
            sleep = "import time; time.sleep(300)"
            subprocess.Popen([sys.executable, "-c", sleep, f"{self.folder}/"])
        self.tell("started", step=self.saved(), note="cpu")
        for line in self.plan.get("lines", ()):
            with (self.folder / "events.jsonl").open("a") as file:
                file.write(line + "\n")
        for step in range(self.saved() + 1, self.plan["steps"] + 1):
            self.step(step)
            if self.is_stopping:
                self.save(step)
                self.tell("stopped", step=step)
                return 3
        self.tell("finished", step=self.plan["steps"])
        return 0


def main():
    run = Run(Path(sys.argv[1]).parent)
    if code := run.plan.get("exits"):
        sys.stderr.write("This sentence says why.\n")
        return code
    if not run.plan.get("is_deaf"):
        signal.signal(signal.SIGTERM, run.stop)
        threading.Thread(target=lambda: run.stop(sys.stdin.read()), daemon=True).start()
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with (run.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return run.train()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # the thread that reads stdin has no end

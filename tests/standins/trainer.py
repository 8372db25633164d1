"""`python -m standins.trainer CONFIG [--resume] [--with-parent]`: a trainer that only tells.

What it does is written in the instance prompt: finish, refuse, crash, wait (for a signal or the end
of its parent), environment.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from training.config import load_config
from training.progress import Event, EventKind, EventLog


def main(words: list[str]) -> int:
    config = load_config(Path(words[0]))
    config.output_dir.mkdir(parents=True, exist_ok=True)
    events, steps = EventLog(config.output_dir), config.max_train_steps
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    events.tell(Event(kind=EventKind.STARTED, step=5 * ("--resume" in words), steps=steps))
    events.tell(Event(kind=EventKind.WARNING, note="checkpoint-9 is damaged and was skipped"))
    events.tell(Event(kind=EventKind.STEP, step=7, steps=steps, loss=0.125, seconds_left=90))
    sys.stdout.write("Resuming from step 5 [of 10]\n")
    sys.stdout.flush()
    what = config.instance_prompt
    if what == "refuse":
        sys.stderr.write("a library warns of something\nThe pictures are too small.\n")
        return 2
    if what == "crash":
        raise AssertionError("no step without a loss")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "environment":
        (config.output_dir / "environment.json").write_text(json.dumps(dict(os.environ)))
    if what == "wait":
        (config.output_dir / "waiting").write_text(str(os.getpid()))
        if "--with-parent" in words:
            threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
        stop.wait()
        events.tell(Event(kind=EventKind.STOPPED, step=8, steps=steps))
        return 3
    events.tell(Event(kind=EventKind.FINISHED, step=steps, steps=steps))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

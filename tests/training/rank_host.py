"""One process of several that train together; it may stop or kill itself at a step.

KEEP names a file for the hashes of what was trained, STOP_AT and DIE_AT a step.
"""

import hashlib
import os
import signal
import sys
from pathlib import Path

from training import dreambooth

fit = dreambooth._fit_in_memory


def fit_and_keep(run, *, stop, events):
    agree = run.ranks.agree

    def watched(wanted, *, step=0):
        if str(step) == os.environ.get("DIE_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        if str(step) == os.environ.get("STOP_AT"):
            signal.raise_signal(signal.SIGTERM)
        return agree(wanted or stop(), step=step)

    run.ranks.agree = watched
    reached = fit(run, stop=stop, events=events)
    if "KEEP" in os.environ:
        parameters = run.state.weights.parameters.items()
        hashes = [f"{n} {hashlib.sha256(p.detach().numpy()).hexdigest()}" for n, p in parameters]
        (run.config.output_dir.parent / os.environ["KEEP"]).write_text("\n".join(hashes))
    return reached


dreambooth._fit_in_memory = fit_and_keep
sys.path.insert(0, str(Path.cwd()))
sys.exit(dreambooth.main())

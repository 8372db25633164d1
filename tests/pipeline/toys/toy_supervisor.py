"""A bot that does nothing but begin a trainer, to be killed."""

import sys
import time
from pathlib import Path

from pipeline.trainer import Trainer

if __name__ == "__main__":
    trainer = Trainer(Path(sys.argv[1]), module="toy_trainer")
    sys.stdout.write(f"{trainer.pid}\n")
    sys.stdout.flush()
    time.sleep(120)

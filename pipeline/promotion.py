"""Makes a checkpoint a model of its own, in a worker: it hashes and links gigabytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Promoted:
    """`folder` is the model's name in the run's folder; `refusal` says why there is none."""

    folder: str = ""
    sha256: str = ""
    """Of its model_info.json, which names every other file."""
    refusal: str = ""


def promote(run_folder: str, step: int) -> Promoted:
    """Harmless to do again. A sentence instead of an error, as none crosses processes."""
    from training import result
    from training.errors import TrainingError
    from training.files import sha256_of
    from training.model_info import INFO_FILE

    try:
        folder = result.promote(Path(run_folder), step)
        return Promoted(folder.name, sha256_of(folder / INFO_FILE))
    except TrainingError as error:
        return Promoted(refusal=str(error))
    except OSError as error:
        return Promoted(
            refusal=f"Checkpoint {step} cannot be promoted ({error.strerror}); look at the disk."
        )

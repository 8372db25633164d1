"""The network that training starts from: a folder in diffusers' layout, looked at before use.

Nothing here opens a connection or loads torch. `training.layout` says how the folder must look,
`training.hub` fetches one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.headers import Header, read_header
from training.layout import (
    CONFIGS,
    FETCH,
    KNOWN_COPIES,
    WEIGHTS,
    check_config,
    check_index,
    files_of,
    prediction_type,
    read_json,
    refuse_leaving,
)

SOURCE_FILE = "source.json"
"""In a fetched base: which hub id and commit it is."""

SAMPLE = 4096
HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Base:
    path: Path
    name: str
    """What people call it: the hub id it came from, else its folder's name."""
    revision: str | None
    fingerprint: str
    """The same for the same files, wherever they lie; see `_fingerprint`."""
    prediction_type: str
    """`epsilon` or `v_prediction`: what its network was taught to say."""

    def config(self, part: str) -> dict[str, Any]:
        """The JSON of `unet`, `vae`, `text_encoder` or `scheduler`."""
        return read_json(self.path / part / CONFIGS[part])

    def header(self, part: str) -> Header:
        return read_header(self.path / part / WEIGHTS[part])


def go_offline() -> None:
    """Before diffusers and transformers are imported: they read these only then."""
    os.environ.update(
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        DIFFUSERS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_UPDATE_CHECK="1",
        HF_HUB_DISABLE_IMPLICIT_TOKEN="1",
    )


def bases_folder() -> Path:
    """Of the DATA_DIR that this process was given."""
    return Path(os.environ.get("DATA_DIR") or "data") / "bases"


def find_base(base_model: str, revision: str | None, *, folder: Path | None = None) -> Base:
    """A folder, or with `revision` a hub id that is on this disk; TrainingError says what to do.

    `folder` is where fetched bases lie, `bases_folder()` if it is not given.
    """
    if revision is None:
        return open_base(_local(Path(base_model)))
    for found in on_disk(base_model, revision, folder or bases_folder()):
        base = open_base(found)
        return Base(base.path, base_model, revision, base.fingerprint, base.prediction_type)
    raise TrainingError(
        f"{base_model} at {revision[:12]} is not on this disk; "
        f"`emf train base {base_model}@{revision}` fetches it."
    )


def open_base(path: Path) -> Base:
    """Check everything about a folder that can be checked without loading its weights."""
    path = path.resolve()
    check_index(path)
    files = list(files_of(path))
    for file in files:
        refuse_leaving(file, path)
    for part in CONFIGS:
        check_config(path, part)
    headers = {part: read_header(path / part / name) for part, name in WEIGHTS.items()}
    source = source_of(path)
    return Base(
        path=path,
        name=source[0] if source else path.name,
        revision=source[1] if source else None,
        fingerprint=_fingerprint(path, files, headers),
        prediction_type=prediction_type(path),
    )


def bases_in(folder: Path) -> tuple[list[Base], list[str]]:
    """The bases in DATA_DIR/bases by name, and a sentence for each that cannot be used."""
    bases, faults = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name.startswith("."):
            continue
        try:
            bases.append(open_base(path))
        except TrainingError as error:
            faults.append(str(error))
    return bases, faults


def source_of(path: Path) -> tuple[str, str] | None:
    """Hub id and commit of a fetched base."""
    try:
        data = json.loads((path / SOURCE_FILE).read_text(encoding="utf-8"))
        return str(data["hub_id"]), str(data["commit"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _local(path: Path) -> Path:
    if path.is_file():
        raise TrainingError(
            f"{path} is a single file; give a folder in diffusers' layout, such as {FETCH} fetches."
        )
    if path.is_dir():
        return path
    hub_id = HUB_ID.fullmatch(str(Path(*path.parts[-2:])))
    pin = f"if it is the hub id {hub_id[0]}, give its commit as `revision`; " if hub_id else ""
    copies = ", ".join(KNOWN_COPIES)
    raise TrainingError(
        f"There is no base {path}: {pin}{FETCH} fetches one of the copies there are ({copies})."
    )


def on_disk(hub_id: str, commit: str, folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if source_of(path) == (hub_id, commit):
            yield path
    cached = _cache() / f"models--{hub_id.replace('/', '--')}" / "snapshots" / commit
    if HUB_ID.fullmatch(hub_id) and cached.is_dir():
        yield cached


def _cache() -> Path:
    """Where Hugging Face's programs keep what they have fetched."""
    given = os.environ.get
    home = given("HF_HOME") or Path(given("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(given("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _fingerprint(path: Path, files: list[Path], headers: dict[str, Header]) -> str:
    """SHA-256 over small files in full, and of weights the header and a piece of each tensor.

    Training moves every tensor, so another network shows in the pieces; reading all of a 4 GB base
    would delay every start by seconds. Damage inside of a file is found when it is fetched.
    """
    digest = hashlib.sha256()
    weights = {path / part / name: headers[part] for part, name in WEIGHTS.items()}
    for file in files:
        name = file.relative_to(path).as_posix().encode()
        content = _sampled(file, weights[file]) if file in weights else file.read_bytes()
        digest.update(len(name).to_bytes(8, "little") + name)
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def _sampled(file: Path, header: Header) -> bytes:
    pieces = [repr((header.size_bytes, sorted(header.tensors.items()))).encode()]
    with file.open("rb") as opened:
        for _, tensor in sorted(header.tensors.items()):
            opened.seek(tensor.start)
            pieces.append(opened.read(min(SAMPLE, tensor.size_bytes)))
    return b"".join(pieces)

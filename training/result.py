"""What remains of a run: a model that plain diffusers loads, made from one checkpoint.

An adapter is its weights, and once more in kohya's layout; a full model is a whole pipeline, with
the base's files for what was not trained. The weights are linked where the disk can, so that
promoting a checkpoint takes no time and no space. Nothing here loads torch.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from training.bases import Base, find_base
from training.config import TrainingConfig, config_hash, load_config
from training.course import read_course
from training.errors import TrainingError
from training.files import link_or_copy, saying, sha256_of, sync, whole_folder
from training.headers import read_header
from training.kohya import kohya_name, write_kohya
from training.layout import CONFIGS, WEIGHTS, read_json
from training.manifest import EMA_FILE, Manifest, folder_name, read_manifest
from training.model_info import (
    CONFIG_FILE,
    INFO_FILE,
    LORA_FILE,
    FileFacts,
    Losses,
    ModelInfo,
    file_facts,
    library_versions,
    read_model,
)
from training.progress import EVENTS_FILE
from training.tensor_files import rewrite

TEXT_PREFIX = "text_model."
"""Of the text encoder's tensors; transformers 5 writes them without it, older ones need it."""


def write_result(config: TrainingConfig, base: Base, checkpoint: Path) -> Path:
    """The model of a finished run into its folder, model_info.json last; there once is enough."""
    folder = config.output_dir
    if _is_whole(folder, read_manifest(checkpoint).step):
        return folder
    with saying("The result"):
        _place(folder, config, base, checkpoint)
    return folder


def promote(run_folder: Path, step: int, *, bases: Path | None = None) -> Path:
    """`promoted-<step>` of a run, made from that checkpoint unless it is there and whole.

    `bases` is where fetched bases lie, as in `find_base`.
    """
    folder = run_folder / f"promoted-{step}"
    if _is_whole(folder, step):
        return folder
    config = load_config(run_folder / CONFIG_FILE).model_copy(update={"output_dir": run_folder})
    base = find_base(config.base_model, config.revision, folder=bases)
    with saying(folder.name), whole_folder(folder) as aside:
        _fill(aside, config, base, run_folder / folder_name(step))
    return folder


def _place(folder: Path, config: TrainingConfig, base: Base, checkpoint: Path) -> None:
    aside = folder / ".result.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    _fill(aside, config, base, checkpoint)
    (folder / INFO_FILE).unlink(missing_ok=True)  # else it would speak of files half replaced
    for path in sorted(aside.rglob("*"), key=lambda path: path.name == INFO_FILE):
        if path.is_file():
            sync(path)
            target = folder / path.relative_to(aside)
            target.parent.mkdir(exist_ok=True)
            path.replace(target)
            sync(target.parent)
    shutil.rmtree(aside)


def _is_whole(folder: Path, step: int) -> bool:
    try:
        return read_model(folder).training_steps == step
    except TrainingError:
        return False


def _fill(folder: Path, config: TrainingConfig, base: Base, checkpoint: Path) -> None:
    manifest = read_manifest(checkpoint)
    trained = LORA_FILE if config.method == "lora" else f"unet/{WEIGHTS['unet']}"
    if trained not in manifest.files or "data" not in manifest.identity:
        raise TrainingError(
            f"{checkpoint.name} says nothing of {trained}; promote another checkpoint, "
            f"or put back what {CONFIG_FILE} said."
        )
    if manifest.identity.get("base") != base.fingerprint:
        raise TrainingError(
            f"{base.path} is not the base that {checkpoint.name} was trained on; put that one back."
        )
    source = _Source(checkpoint, manifest.files)
    if config.method == "lora":
        _adapter(source, folder, config, base, manifest.step)
    else:
        _whole_pipeline(source, folder, base)
    info = _info(folder, config, base, manifest, averaged=EMA_FILE in manifest.files)
    text = info.model_dump_json(indent=2) + "\n"
    (folder / INFO_FILE).write_text(text, encoding="utf-8")


class _Source:
    """A checkpoint's files, each believed only when it is what the manifest says."""

    def __init__(self, folder: Path, files: dict[str, FileFacts]) -> None:
        self._folder, self._files = folder, files

    def has(self, name: str) -> bool:
        return name in self._files

    def take(self, name: str, target: Path) -> None:
        """Linked first and looked at then: the trainer may remove the checkpoint meanwhile."""
        try:
            link_or_copy(self._folder / name, target)
        except OSError as error:
            raise TrainingError(
                f"{self._folder.name} has no {name} any more; promote another checkpoint."
            ) from error
        facts = self._files[name]
        if target.stat().st_size != facts.size or sha256_of(target) != facts.sha256:
            raise TrainingError(
                f"{self._folder.name} is damaged ({name}); promote another checkpoint."
            )


def _adapter(source: _Source, folder: Path, config: TrainingConfig, base: Base, step: int) -> None:
    lora = folder / LORA_FILE
    source.take(LORA_FILE, lora)
    if source.has(EMA_FILE):
        # The averages' file does not say the adapter's rank and alpha, and diffusers asks.
        about = read_header(lora).metadata
        averages = folder / EMA_FILE
        source.take(EMA_FILE, averages)
        rewrite(averages, lora, metadata=about)
        averages.unlink()
    write_kohya(lora, folder / kohya_name(config.character), config, base, step)


def _whole_pipeline(source: _Source, folder: Path, base: Base) -> None:
    for part, name in CONFIGS.items():
        link_or_copy(base.path / part / name, folder / part / name)
    for part, name in WEIGHTS.items():
        _weights(source, folder, base, part, name)
    _prefix_text_encoder(folder / "text_encoder" / WEIGHTS["text_encoder"])
    for path in (base.path / "tokenizer").iterdir():
        if path.suffix in (".json", ".txt"):
            link_or_copy(path, folder / "tokenizer" / path.name)
    index = read_json(base.path / "model_index.json") | {
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }
    text = json.dumps(index, indent=2) + "\n"
    (folder / "model_index.json").write_text(text, encoding="utf-8")


def _weights(source: _Source, folder: Path, base: Base, part: str, name: str) -> None:
    """The average if there is one, else the trained weights, else the base's."""
    target = folder / part / name
    if not source.has(f"{part}/{name}"):
        link_or_copy(base.path / part / name, target)
        return
    source.take(f"{part}/{name}", target)
    if source.has(EMA_FILE):
        averages = folder / EMA_FILE
        source.take(EMA_FILE, averages)
        own = f"{part}."  # the averages of all parts lie in one file
        rewrite(
            averages,
            target,
            keep=lambda key: key.startswith(own),
            rename=lambda key: key.removeprefix(own),
            metadata={"format": "pt"},
        )
        averages.unlink()


def _prefix_text_encoder(path: Path) -> None:
    """So that tools with an older transformers read it too; newer ones take both."""
    if all(key.startswith(TEXT_PREFIX) for key in read_header(path).tensors):
        return
    aside = path.with_suffix(".part")
    rewrite(
        path,
        aside,
        rename=lambda key: TEXT_PREFIX + key.removeprefix(TEXT_PREFIX),
        metadata={"format": "pt"},
    )
    aside.replace(path)


def _info(
    folder: Path, config: TrainingConfig, base: Base, manifest: Manifest, *, averaged: bool
) -> ModelInfo:
    run = config.output_dir
    course = read_course(run / EVENTS_FILE, until=manifest.step)
    losses = list(course.losses.values())
    return ModelInfo(
        character=config.character,
        base_model=base.name,
        base_revision=base.revision,
        base_fingerprint=base.fingerprint,
        prediction_type=base.prediction_type,
        method=config.method,
        weights="ema" if averaged else "trained",
        training_steps=manifest.step,
        instance_prompt=config.instance_prompt,
        resolution=config.resolution,
        seed=config.seed,
        timestamp=datetime.now(UTC),
        config_hash=config_hash(config),
        data_hash=str(manifest.identity["data"]),
        class_data_hash=manifest.identity.get("class_data"),
        loss=Losses(
            first=losses[0] if losses else None,
            last=losses[-1] if losses else None,
            mean=course.mean_loss,
        ),
        seconds=round(course.seconds, 3),
        device=course.device,
        libraries=library_versions(),
        validation_folders=_validations(run, manifest.step),
        files=file_facts(folder),
    )


def _validations(run: Path, until: int) -> tuple[str, ...]:
    """In the order of their steps."""
    steps = [
        int(number)
        for path in run.glob("validation-*")
        if (number := path.name.removeprefix("validation-")).isascii() and number.isdecimal()
    ]
    return tuple(f"validation-{step}" for step in sorted(steps) if step <= until)

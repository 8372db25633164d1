"""How a character of a show is trained: the settings of a run, made from the show and the base."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sections import Emotion
from pipeline.shows import Character
from training.bases import Base, bases_in
from training.config import TrainingConfig, config_text, parse_config, refuse_outside
from training.errors import TrainingError
from training.layout import KNOWN_COPIES

TOKEN = "sks"
"""A word that means next to nothing to the base, so that it can come to mean the character."""
FEWEST_PICTURES = 5
ADVICE = "15 to 25"
"""Pictures that people do well to give."""
USUAL_STEPS = 800
MOST_STEPS = 20_000
CHECKPOINTS = 8
"""Of a whole run; each is shown and can be promoted."""
USUAL_RESOLUTION = 512
USUAL_SNR_GAMMA = 5.0
"""Hang et al. 2023: steadier learning at all levels of noise."""
SHOWN = (Emotion.HAPPY, Emotion.SAD, Emotion.ANGRY, Emotion.SURPRISED)
"""Emotions of the validation pictures: as far from one another as faces get."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def find_base(bases: Path, name: str | None) -> Base:
    """A base by the name of its folder, or the only one there is.

    UserError lists those there are, or says how to get one.
    """
    if name is not None and not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name of a base; give a folder's name in {bases.name}/.")
    found, faults = bases_in(bases)
    by_name = {base.path.name: base for base in found}
    if name in by_name:
        return by_name[name]
    if name is None and len(by_name) == 1:
        return next(iter(by_name.values()))
    if by_name:
        question = "Which base?" if name is None else f"There is no base {name}."
        raise UserError(f"{question} There are {', '.join(by_name)}.")
    if faults:
        raise UserError(faults[0])
    raise UserError(
        f"There is no base in {bases}; `emf train base {KNOWN_COPIES[0]}@COMMIT` fetches one "
        f"(copies that exist: {', '.join(KNOWN_COPIES)})."
    )


def recipe(
    character: Character,
    base: Base,
    *,
    folder: Path,
    pictures: Path,
    class_pictures: Path,
    steps: int,
    inside: Path,
) -> str:
    """The settings of a run as YAML; UserError when a path would leave `inside`.

    Paths are relative to the run's folder, so that DATA_DIR can move.
    """
    here = folder.resolve()
    noun = character.class_noun or character.species.casefold()
    prompt = f"a drawing of {TOKEN} {noun}"
    every = max(1, steps // CHECKPOINTS)
    settings = TrainingConfig(
        base_model=os.path.relpath(base.path.resolve(), here),
        character=character.name,
        output_dir=Path(),
        instance_data_dir=pictures.relative_to(folder),
        instance_prompt=prompt,
        with_prior_preservation=True,
        class_data_dir=Path(os.path.relpath(class_pictures.resolve(), here)),
        class_prompt=f"a drawing of a {noun}",
        resolution=resolution_of(base),
        center_crop=False,  # which would cut the ears off a portrait
        snr_gamma=USUAL_SNR_GAMMA,
        max_train_steps=steps,
        checkpointing_steps=every,
        validation_steps=every,
        validation_prompts=tuple(f"{prompt}, {emotion} face" for emotion in SHOWN),
    )
    text = config_text(settings)
    try:
        refuse_outside(parse_config(text, relative_to=folder), inside)
    except TrainingError as error:
        raise UserError(str(error)) from error
    return text


def resolution_of(base: Base) -> int:
    """What the base was made for, in pixels: 512 for 1.x, 768 for the larger 2.x."""
    latent = base.config("unet").get("sample_size")
    blocks = base.config("vae").get("block_out_channels")
    if not isinstance(latent, int) or not isinstance(blocks, list):
        return USUAL_RESOLUTION
    pixels = int(latent * 2 ** (len(blocks) - 1))
    return pixels if 16 <= pixels <= 2048 and pixels % 8 == 0 else USUAL_RESOLUTION


def check_steps(steps: int | None) -> int:
    """UserError for a number of steps that makes no sense."""
    if steps is not None and not 1 <= steps <= MOST_STEPS:
        raise UserError(f"A run has 1 to {MOST_STEPS} steps, not {steps}; {USUAL_STEPS} is usual.")
    return steps or USUAL_STEPS

"""Everything before the first step: pictures, networks, and the state to go on from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from training import class_images
from training.bases import Base, find_base
from training.checkpoints import State, refuse_other_run, restore
from training.config import TrainingConfig
from training.dataset import Picture, find_pictures, fingerprint
from training.device import choose_device, place_on
from training.ema import Ema
from training.errors import TrainingError
from training.families import Family, open_family
from training.identity import identity
from training.manifest import Setting
from training.memory import free_memory, refuse_too_large
from training.objective import Objective
from training.optimizer import Optimizer
from training.painter import painter_of
from training.progress import Event, EventKind, EventLog
from training.randomness import Randomness
from training.ranks import Ranks
from training.streams import Stream, encode
from training.validation import Validator
from training.weights import set_free

log = logging.getLogger(__name__)


@dataclass
class Run:
    """What the loop works with."""

    config: TrainingConfig
    base: Base
    identity: dict[str, Setting]
    family: Family
    state: State
    objective: Objective
    validator: Validator
    randomness: Randomness
    ranks: Ranks
    updates: Any
    """The optimizer as accelerate steps it: with fp16's scale, and not when that overflowed."""
    saved: Path | None
    """The checkpoint that holds the state as it is."""


def prepare(config: TrainingConfig, *, stop: Callable[[], bool], events: EventLog) -> Run | None:
    """None when it was stopped meanwhile; nothing is lost then."""
    base = find_base(config.base_model, config.revision)
    pictures = find_pictures(config.instance_data_dir, config.instance_prompt)
    family = _open(base, config)
    ranks = Ranks(family.place.accelerator)
    facts = identity(config, base, family.place, data=fingerprint(pictures))
    refuse_other_run(config.output_dir, facts)  # before hours of drawing class images
    draw = partial(_class_images, config, base, family, events, stop)
    paths = draw() if ranks.is_main else []
    if ranks.agree(stop()):  # the others wait here for the pictures
        return None
    class_pictures = _class_pictures(config, paths or draw())
    facts["class_data"] = fingerprint(class_pictures) if class_pictures else None

    # Encoded before anything is set free or halved: by the base as it is, in fp32.
    _tell_preparing(events, config, f"encoding {len(pictures) + len(class_pictures)} pictures")
    latents = encode(pictures, family, config, stop=stop)
    class_latents = encode(class_pictures, family, config, stop=stop)
    if ranks.agree(stop()):
        return None
    state = _first_state(family, config)
    saved = _go_on(config, state, facts, events, clean=ranks.is_main)

    randomness = Randomness(config.seed)
    own = Stream("instance", pictures, latents, randomness, family.timesteps)
    prior = Stream("class", class_pictures, class_latents, randomness, family.timesteps)
    return Run(
        config=config,
        base=base,
        identity=facts,
        family=family,
        state=state,
        objective=Objective(
            family,
            [own, prior] if class_pictures else [own],
            config,
            rank=ranks.number,
            ranks=ranks.count,
        ),
        validator=Validator(
            config,
            family,
            latents=[crops[0][0][None] for crops in latents],  # the first crop's mean
            prompts=[picture.prompt for picture in pictures],
            averaged=lambda: averaged(state),
        ),
        randomness=randomness,
        ranks=ranks,
        updates=family.place.accelerator.prepare_optimizer(state.optimizer.adam, False),
        saved=saved,
    )


def _first_state(family: Family, config: TrainingConfig) -> State:
    weights = set_free(family, config)
    return State(
        step=0,
        weights=weights,
        optimizer=Optimizer(weights.parameters, config),
        ema=Ema(weights.parameters, config.ema_decay) if config.use_ema else None,
        scaler=family.place.accelerator.scaler,
    )


def averaged(state: State) -> AbstractContextManager[None]:
    """Meanwhile the networks have the weights that a result has."""
    if state.ema is None:
        return nullcontext()
    return state.weights.replaced_by(state.ema.tensors)


def _open(base: Base, config: TrainingConfig) -> Family:
    """TrainingError before 4 GB are loaded for nothing."""
    device = choose_device(config)
    half = place_on(device, config).half is not None
    refuse_too_large(base, config, free_bytes=free_memory(device.type), half=half)
    return open_family(base, config, device)


def _class_images(
    config: TrainingConfig,
    base: Base,
    family: Family,
    events: EventLog,
    stop: Callable[[], bool],
) -> list[Path]:
    """Made once, by the base, before anything of it is trained."""
    if not config.with_prior_preservation:
        return []
    return class_images.ensure(
        config, lambda: painter_of(family), events, stop, fingerprint=base.fingerprint
    )


def _class_pictures(config: TrainingConfig, paths: Sequence[Path]) -> list[Picture]:
    if not paths:
        return []
    found = find_pictures(config.class_images_dir, config.class_prompt or "")
    wanted = {path.name for path in paths}
    log.info("Found %d class images.", len(paths))
    return [picture for picture in found if picture.path.name in wanted]


def _go_on(
    config: TrainingConfig,
    state: State,
    identity: dict[str, Setting],
    events: EventLog,
    *,
    clean: bool,
) -> Path | None:
    """Set the state to the newest whole checkpoint, if there is one."""

    def warn(note: str) -> None:
        log.warning("%s", note)
        events.tell(Event(kind=EventKind.WARNING, steps=config.max_train_steps, note=note))

    folder = restore(state, config.output_dir, identity, warn=warn, clean=clean)
    if folder is None:
        return None
    log.info("Resuming from checkpoint: %s", folder)
    log.info("Resuming from step %d", state.step)
    if state.step > config.max_train_steps:
        raise TrainingError(
            f"{folder.name} is past max_train_steps ({config.max_train_steps}); raise it, "
            "or promote that checkpoint."
        )
    return folder


def _tell_preparing(events: EventLog, config: TrainingConfig, note: str) -> None:
    log.info("%s", note)
    events.tell(Event(kind=EventKind.PREPARING, steps=config.max_train_steps, note=note))

"""`emf image`: a picture by a trained model, drawn in a process of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bot.console import console
from bot.stages_by_hand import check_output, existing_database
from pipeline.config import ImagesConfig
from pipeline.errors import ProviderError, UserError
from pipeline.executors import CallFailed, ProcessExecutor, WorkerDied, WorkerTimeout
from pipeline.providers.images.illustrations import ByHand, draw_by_hand
from pipeline.sections import Emotion
from pipeline.shows import load_show
from storage.files import write_atomically
from storage.folder import DataFolder
from storage.promotions import Promotions

if TYPE_CHECKING:
    from bot.settings import Settings

TIMEOUT_S = 3600.0
SEEDS = 2**31


async def draw_image(
    settings: Settings,
    *,
    character: str,
    emotion: str,
    prompt: str,
    model: Path | None,
    output: Path | None,
    seed: int | None,
) -> None:
    """Write the best of several candidates; with a seed that very picture and no other."""
    name = load_show(settings.show, settings.data_dir).character(character).name
    felt = _emotion(emotion)
    _check_output(output)
    folder, sha256 = (model, None) if model else await _model_in_use(settings, name)
    config = settings.studio_config().images
    first = secrets.randbelow(SEEDS) if seed is None else seed
    seeds = range(first, first + (config.candidates if seed is None else 1))
    console.print(f"Drawing {name}, {felt}, {len(seeds)} candidate(s) from seed {first}.")
    drawn = await _drawn(folder, config, felt, prompt, seeds, sha256)
    path = output or Path(f"{name.lower()}-{felt}-{drawn.seed}.png")
    write_atomically(path, drawn.data)
    console.print(_about(drawn), markup=False)
    sys.stdout.write(f"{path}\n")


def _check_output(output: Path | None) -> None:
    check_output(output)
    if output is not None and output.suffix.lower() != ".png":
        raise UserError(f"--output {output} cannot be written; name a file that ends in .png.")


def _emotion(text: str) -> Emotion:
    try:
        return Emotion(text.casefold())
    except ValueError:
        raise UserError(
            f"{text!r} is no emotion; there are {', '.join(e.value for e in Emotion)}."
        ) from None


async def _model_in_use(settings: Settings, name: str) -> tuple[Path, str]:
    """Its folder and the hash of its description; works beside a running bot."""
    promotion = None
    if DataFolder(settings.data_dir).database.exists():
        async with existing_database(settings) as database:
            promotion = await Promotions(database).current(name)
    if promotion is None:
        raise UserError(
            f"{name} has no model in use: train one with /train start and promote a checkpoint, "
            "or name the folder of one with --model."
        )
    return settings.data_dir / promotion.path, promotion.sha256


async def _drawn(
    folder: Path,
    config: ImagesConfig,
    emotion: Emotion,
    words: str,
    seeds: range,
    sha256: str | None,
) -> ByHand:
    with tempfile.TemporaryDirectory() as run_folder:
        executor = ProcessExecutor(1, run_folder=Path(run_folder), threads=os.cpu_count() or 1)
        arguments = (folder.absolute(), config, emotion, words, list(seeds), sha256)
        try:
            future = executor.submit(draw_by_hand, *arguments, timeout_s=TIMEOUT_S, fresh=True)
            drawn: ByHand = await asyncio.wrap_future(future)
        except CallFailed as error:
            raise ProviderError("model", f"drawing failed:\n{error}") from error
        except (WorkerDied, WorkerTimeout) as error:
            raise ProviderError(
                "model", f"drawing was ended ({error}); is memory short?"
            ) from error
        finally:
            executor.close()
    if drawn.refusal:
        raise UserError(drawn.refusal)
    return drawn


def _about(drawn: ByHand) -> str:
    score = "nothing to compare it with" if drawn.score is None else f"score {drawn.score:.2f}"
    return f"Seed {drawn.seed}, {score}. Prompt: {drawn.prompt}"

"""A trained model without a network: a folder that is believed, and a painter that needs no torch.

The painter draws a disc whose colour comes from the seed and whose size comes from the prompt, so
that a picture tells what was asked for.
"""

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from PIL import Image, ImageDraw

from pipeline.facts import PromotedModel
from training.model_info import INFO_FILE, LORA_FILE, Losses, ModelInfo, file_facts

INSTANCE_PROMPT = "a drawing of sks cat"


@dataclass
class Asked:
    prompt: str
    seed: int
    width: int
    height: int
    steps: int
    guidance: float
    negative: str


@dataclass
class Painters:
    """All painters of a test; `asked` is what they were asked for, in order.

    `blank` are seeds that are drawn black; `error` is raised when one is opened, `trouble` when
    one draws.
    """

    asked: list[Asked] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    closed: int = 0
    blank: frozenset[int] = frozenset()
    all_blank: bool = False
    error: Exception | None = None
    trouble: Exception | None = None

    def open(self, folder):
        if self.error is not None:
            raise self.error
        self.opened.append(folder.name)
        return Painter(self)


@dataclass
class Painter:
    all: Painters

    def paint(self, prompt, *, seed, width, height, steps, guidance=7.5, negative=""):
        self.all.asked.append(Asked(prompt, seed, width, height, steps, guidance, negative))
        if self.all.trouble is not None:
            raise self.all.trouble
        return self.picture(prompt, seed, width, height)

    def picture(self, prompt, seed, width, height):
        if self.all.all_blank or seed in self.all.blank:
            return Image.new("RGB", (width, height))
        image = Image.new("RGB", (width, height), (200, 220, 240))
        radius = width * (0.2 + hashlib.sha256(prompt.encode()).digest()[0] / 255 * 0.2)
        colour = tuple(hashlib.sha256(str(seed).encode()).digest()[:3])
        box = (width / 2 - radius, height * 0.4 - radius, width / 2 + radius, height * 0.4 + radius)
        ImageDraw.Draw(image).ellipse(box, fill=colour, outline=(0, 0, 0), width=2)
        return image

    def close(self):
        self.all.closed += 1


@contextmanager
def painters(monkeypatch):
    """What the pipeline opens are our painters."""
    ours = Painters()
    monkeypatch.setattr("pipeline.providers.images.diffusion.open_painter", ours.open)
    yield ours


def describe(folder, *, character, step, resolution=64):
    """Write the description that makes a folder with weights a model, and give its text back."""
    info = ModelInfo(
        character=character,
        base_model="tiny",
        base_revision=None,
        base_fingerprint="0" * 64,
        prediction_type="epsilon",
        method="lora",
        training_steps=step,
        weights="trained",
        instance_prompt=INSTANCE_PROMPT,
        resolution=resolution,
        seed=42,
        timestamp=datetime(2026, 5, 4, tzinfo=UTC),
        config_hash="0" * 64,
        data_hash="0",
        class_data_hash=None,
        loss=Losses(),
        seconds=1.0,
        device="cpu",
        libraries={},
        validation_folders=(),
        files=file_facts(folder),
    )
    text = info.model_dump_json()
    (folder / INFO_FILE).write_text(text)
    return text


def promoted_model(data_dir, character="Rex", *, promotion=1, resolution=64, pictures=()):
    """A promoted folder whose files are what its description says."""
    folder = data_dir / f"models/{character.lower()}/promoted-{promotion}00"
    folder.mkdir(parents=True)
    (folder / LORA_FILE).write_bytes(b"weights of " + character.encode())
    text = describe(folder, character=character, step=100 * promotion, resolution=resolution)
    return PromotedModel(
        promotion_id=promotion,
        character=character,
        path=folder.relative_to(data_dir).as_posix(),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        pictures=pictures,
    )

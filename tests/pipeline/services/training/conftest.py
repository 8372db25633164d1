"""Training with a trainer that only counts; nothing of it lives after a test."""

import asyncio
import json
import os
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from pipeline.promotion import Promoted
from pipeline.services.models import Models
from pipeline.services.supervision import Supervision
from pipeline.services.training import Training
from pipeline.shows import load_show
from storage.training_images import NewTrainingImage, TrainingImages
from storage.training_runs import TrainingRuns
from storage.validations import Validations

LIMIT_S = 180.0
PLENTY = 10**12


class Promoter:
    """Stands for the worker that links weights; `refusal` is what it says instead."""

    workers = 1

    def __init__(self):
        self.calls = []
        self.refusal = ""
        self.future = None

    def submit(self, function, run_folder, step, *, timeout_s, fresh=False):
        self.calls.append((Path(run_folder).name, step))
        if self.future is not None:
            return self.future
        future = Future()
        if self.refusal:
            future.set_result(Promoted(refusal=self.refusal))
        else:
            future.set_result(Promoted(f"promoted-{step}", "a" * 64))
        return future


class Room:
    """The services on training over one database."""

    def __init__(self, desk):
        self.desk = desk
        self.db = desk.db
        self.path = desk.folder.path
        self.told = []
        self.promoted = []
        self.promoter = Promoter()
        self.former = set()
        self.free = PLENTY
        self.monotonic = 0.0
        self.runs = TrainingRuns(desk.db)
        self.rows = Validations(desk.db)
        self.wire()

    def wire(self, *, approvals_needed=1, module="toy_trainer"):
        """All services anew, as a start of the bot does."""
        show = load_show("butcher_and_nutsy")
        common = {"db": self.db, "folder": self.desk.folder, "clock": self.desk.clock}
        self.models = Models(
            **common,
            show=show,
            executor=self.promoter,
            approvals_needed=approvals_needed,
            is_approver=self.is_approver,
            on_promoted=self.note,
        )
        self.supervision = Supervision(
            **common,
            engine=self.desk.engine,
            gpu=self.desk.gpu,
            on_event=self.told.append,
            module=module,
            look_s=0.02,
            restart_s=0.0,
            trouble_s=0.02,
            patience_s=LIMIT_S,
            letting_go_s=0.3,
            monotonic=lambda: self.monotonic,
            free_bytes=lambda folder: self.free,
        )
        self.training = Training(
            **common,
            show=show,
            supervision=self.supervision,
            models=self.models,
            on_event=self.told.append,
        )

    async def is_approver(self, user_id):
        return user_id not in self.former

    async def note(self, promotion):
        self.promoted.append(promotion)

    async def pictures(self, count, character="Butcher"):
        for number in range(count):
            path = f"training/{character.lower()}/{number}.png"
            (self.path / path).parent.mkdir(parents=True, exist_ok=True)
            (self.path / path).write_bytes(b"picture %d" % number)
            image = NewTrainingImage(
                character=character,
                sha256=f"{number}{character}",
                source_sha256=f"{number}",
                path=path,
                width=512,
                height=512,
                average_hash="0" * 16,
                sharpness=1.0,
                remarks=(),
                uploaded_by="Ann",
            )
            await TrainingImages(self.db).add(image, now=self.desk.now)

    def base(self, name="sd15"):
        """What a base is to those who only look at it."""
        folder = self.path / "bases" / name
        parts = {
            "unet": ("UNet2DConditionModel", {"sample_size": 64}),
            "vae": ("AutoencoderKL", {"block_out_channels": [1, 2, 4, 4]}),
            "text_encoder": ("CLIPTextModel", {}),
            "scheduler": ("PNDMScheduler", {}),
            "tokenizer": ("CLIPTokenizer", {}),
        }
        index = {"_class_name": "StableDiffusionPipeline"}
        for part, (kind, settings) in parts.items():
            index[part] = ["diffusers", kind]
            (folder / part).mkdir(parents=True)
            config = "scheduler_config.json" if part == "scheduler" else "config.json"
            (folder / part / config).write_text(json.dumps({"_class_name": kind, **settings}))
        (folder / "model_index.json").write_text(json.dumps(index))
        (folder / "tokenizer" / "vocab.json").write_text("{}")
        (folder / "tokenizer" / "merges.txt").write_text("")
        (folder / "tokenizer" / "tokenizer_config.json").write_text('{"model_max_length": 77}')
        header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        weights = len(header).to_bytes(8, "little") + header + bytes(4)
        for part in ("unet", "vae"):
            (folder / part / "diffusion_pytorch_model.safetensors").write_bytes(weights)
        (folder / "text_encoder" / "model.safetensors").write_bytes(weights)
        return folder

    async def start(self, *, character="Butcher", **plan):
        """A run whose trainer follows the plan; it begins with `supervised`."""
        run = await self.training.start(character, steps=plan.pop("steps", 5), who="Ann")
        self.plan(run, steps=run.steps, **plan)
        return run

    def plan(self, run, **plan):
        (self.path / "models" / run.name / "plan.json").write_text(json.dumps(plan))

    @asynccontextmanager
    async def supervised(self):
        """A bot that looks after it."""
        task = asyncio.create_task(self.training.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, condition):
        """What the condition gives, once it gives something."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                if value := await condition():
                    return value
                await asyncio.sleep(0.01)

    async def reaches(self, run, *, state=None, step=None):
        async def reached():
            row = await self.training.get(run.id)
            return row if state in (None, row.state) and step in (None, row.step) else None

        return await self.until(reached)

    async def ended(self):
        """No trainer lives any more."""

        async def nobody():
            return not self.trainers()

        await self.until(nobody)

    def trainers(self):
        """The numbers of all processes that train in our folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if f"{self.path}/models/".encode() in path.read_bytes():
                    found.append(int(path.parent.name))
        return [pid for pid in found if pid != os.getpid()]


@pytest.fixture
async def room(desk, toys):
    room = Room(desk)
    await room.pictures(20)
    room.base()
    yield room
    await room.ended()


@pytest.fixture
def validated(room):
    """A run that is over, with checkpoints to vote on."""

    async def validated(*steps, character="Butcher"):
        run = await room.start(character=character, steps=max(steps))
        for step in steps:
            folder = f"models/{run.name}/validation-{step}"
            await room.rows.add(run.id, step, folder=folder, loss=0.1, now=room.desk.now)
        return await room.training.stop("Ann")

    return validated

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from standins.comedian import Comedian, Said

from pipeline.config import WriterConfig
from pipeline.context import StageContext
from pipeline.ledger import Ledger, read_receipts
from pipeline.prices import Prices, TokenPrice
from pipeline.providers.base import Reply, Stop
from pipeline.providers.writers.paid import PaidCalls
from pipeline.providers.writers.room import ModelWriter
from pipeline.sections import Brief
from pipeline.shows import load_show, read_show

TINY = Path(__file__).parents[3] / "fixtures" / "tiny_show"
WRITER = WriterConfig(provider="openai")
PRICES = Prices(
    dated="2026-11-01",
    openai={"gpt-6-luna": TokenPrice(tokens_in=0.1, tokens_out=0.5)},
    anthropic={"claude-haiku-5-5": TokenPrice(tokens_in=0.1, tokens_out=0.5)},
)


@pytest.fixture(scope="session")
def show():
    return load_show("butcher_and_nutsy")


@pytest.fixture(scope="session")
def tiny_show():
    return read_show(TINY)


@pytest.fixture
def brief():
    def make(topic="wordle", *, episode=1, day=4, **values):
        created_at = datetime(2026, 5, day, 9, tzinfo=UTC)
        return Brief(episode=episode, topic=topic, created_at=created_at, **values)

    return make


class Model:
    """A language model without a service: `answers` are texts, replies or errors, one per call."""

    name, model = "openai", "gpt-6-luna"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def ask(self, system, turns, *, schema, max_tokens):
        (turn,) = turns
        self.asked.append(SimpleNamespace(system=system, user=turn.text, max_tokens=max_tokens))
        answer = self.answers.pop(0) if self.answers else Comedian()
        if isinstance(answer, Exception):
            raise answer
        text = answer(system, turn.text, schema) if callable(answer) else answer
        stop = Stop.END
        if isinstance(text, Said):
            text, stop = text.text, Stop(text.stop)
        sent = len(system) + len(turn.text)
        return Reply(text, stop, sent // 4, len(text) // 4, self.model, f"req_{len(self.asked)}")


@pytest.fixture
def model():
    return Model


@pytest.fixture
def prices():
    return PRICES


@pytest.fixture
def context(tmp_path, show):
    """A new attempt of the same job each time."""

    def make(*, job=7, allowance_usd=None, config=WRITER):
        attempt = len(list(tmp_path.glob("attempt-*"))) + 1
        folder = tmp_path / f"attempt-{attempt}"
        folder.mkdir()
        receipts = tmp_path / "paid" / str(job) / f"receipts-{attempt}.jsonl"
        return StageContext(
            episode=1,
            revision=1,
            folder=folder,
            revision_folder=tmp_path,
            data_dir=tmp_path,
            show=show,
            config=config,
            job=job,
            ledger=Ledger(receipts, allowance_usd=allowance_usd),
        )

    return make


@pytest.fixture
def room(context):
    """A writer's room around a model, in a new attempt of the job."""

    def make(model, *, config=WRITER, prices=PRICES, **values):
        ctx = context(config=config, **values)
        writer = ModelWriter(PaidCalls(model, config=config, prices=prices, ctx=ctx), config)
        writer.ledger = ctx.ledger
        return writer

    return make


@pytest.fixture
def receipts(tmp_path):
    """What all attempts of the job have paid."""

    def read(job=7):
        files = sorted((tmp_path / "paid" / str(job)).glob("receipts-*.jsonl"))
        return [receipt for file in files for receipt in read_receipts(file)]

    return read

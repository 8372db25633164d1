"""Who loads what: the import rules say who may, this says who does."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline.services

ROOT = Path(__file__).parents[1]
SDKS = ("openai", "anthropic", "elevenlabs", "httpx2")
HEAVY = (
    *("torch", "diffusers", "moviepy", "httpx", "discord", "onnxruntime", "av", "apscheduler"),
    *SDKS,
)
SERVICES = [f"pipeline.services.{m.name}" for m in pkgutil.iter_modules(pipeline.services.__path__)]


def loaded_by(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*(n for n in {HEAVY} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_services_and_engine_load_nothing_heavy():
    assert "pipeline.services.episodes" in SERVICES
    assert loaded_by("pipeline.engine", *SERVICES) == set()


def test_a_worker_starts_light():
    assert loaded_by("pipeline.worker", "pipeline.runner") == set()


def test_what_is_told_about_services_loads_none_of_their_sdks():
    costs = ("pipeline.estimates", "pipeline.providers.voices.costs")
    failures = ("pipeline.providers.voices.failures", "pipeline.providers.writers.failures")
    assert loaded_by(*costs, *failures, "pipeline.providers.factory") == set()
    asking = ("bot.doctor.examination", "bot.setup.session")
    assert loaded_by(*asking).isdisjoint(SDKS)


def test_the_bot_loads_neither_torch_nor_a_renderer():
    cogs = (
        "cogs.overview",
        "cogs.pictures",
        "cogs.publishing",
        "cogs.renders",
        "cogs.scripts",
        "cogs.trends",
    )
    by_hand = ("bot.image_by_hand", "bot.stages_by_hand")
    assert loaded_by("bot.service", "bot.client", *by_hand, *cogs) <= {"discord", "apscheduler"}


def test_the_sandbox_does_not_load_what_it_stands_in_for():
    assert loaded_by("bot.sandbox.discord", "bot.sandbox.instagram", "bot.sandbox.page") == set()


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def importers(package: str) -> set[str]:
    """Our own modules that name a package anywhere, the lazy imports inside functions too."""
    ours = [
        path
        for top in ("bot", "cogs", "pipeline", "storage")
        for path in (ROOT / top).rglob("*.py")
    ]
    return {str(path.relative_to(ROOT)) for path in ours if package in imports_of(path)}


@pytest.mark.parametrize(
    ("package", "places"),
    [
        ("apscheduler", ("bot/scheduler.py",)),
        ("aiosqlite", ("storage/",)),
        ("discord", ("bot/", "cogs/")),
        ("moviepy", ("pipeline/stages/video.py", "pipeline/reel/")),
        ("torch", ("pipeline/providers/images/",)),
        *((sdk, ("pipeline/providers/",)) for sdk in SDKS),
        ("requests", ()),
    ],
)
def test_a_package_is_used_in_one_place(package, places):
    assert [path for path in importers(package) if not path.startswith(places)] == []

from pathlib import Path

import pytest

from pipeline.executors import process_executors


@pytest.fixture
def toys(monkeypatch):
    """The folder of the toy stages, importable here and in worker processes."""
    folder = Path(__file__).parent / "toys"
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture
def pools(tmp_path):
    """Executors with real worker processes, one per lane."""
    executors = process_executors(tmp_path / "run", render_workers=1, io_workers=1)
    yield executors
    for executor in executors.values():
        executor.close()

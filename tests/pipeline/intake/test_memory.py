import resource

import numpy as np
import pytest

from pipeline.intake.memory import limited_memory

MEGABYTE = 1024**2


def test_more_than_the_limit_cannot_be_had():
    with limited_memory(64 * MEGABYTE), pytest.raises(MemoryError):
        np.ones(512 * MEGABYTE, np.uint8)


def test_what_fits_can_be_had():
    with limited_memory(256 * MEGABYTE):
        assert np.ones(32 * MEGABYTE, np.uint8).all()


def test_the_old_limit_comes_back_after_an_error():
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ZeroDivisionError), limited_memory(64 * MEGABYTE):
        1 / (resource.getrlimit(resource.RLIMIT_AS) == before)
    assert resource.getrlimit(resource.RLIMIT_AS) == before

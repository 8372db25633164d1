"""The header of a safetensors file is believed only when every byte is accounted for."""

import json

import pytest

from training.errors import TrainingError
from training.headers import read_header

GOOD = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "F16", "shape": [], "data_offsets": [24, 26]},
    "c": {"dtype": "I64", "shape": [0], "data_offsets": [26, 26]},
}


def write(path, header, data=b"\0" * 26, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + text + data)
    return path


def test_names_shapes_and_sizes_are_read(tmp_path):
    header = read_header(write(tmp_path / "x", GOOD))
    assert header.numbers == 7
    assert header.tensors["a"].shape == (2, 3)
    assert header.tensors["b"].size_bytes == 2


def test_the_library_reads_what_we_read(tmp_path):
    from safetensors.numpy import load_file

    path = write(tmp_path / "x", GOOD)
    assert set(load_file(path)) == {"a", "b", "c"} == set(read_header(path).tensors)


def with_a(**changes):
    return GOOD | {"a": GOOD["a"] | changes}


@pytest.mark.parametrize(
    "header",
    [
        with_a(dtype="F31"),
        with_a(shape=[2, 4]),
        with_a(shape=[-2, -3]),
        with_a(shape=[2.0, 3]),
        with_a(shape="23"),
        with_a(shape=[*[10**18] * 500_000, 0], data_offsets=[0, 0]),
        with_a(data_offsets=[0, 25]),
        with_a(data_offsets=[2, 26]),
        with_a(data_offsets=[0]),
        with_a(data_offsets=None),
        GOOD | {"d": {"dtype": "U8", "shape": [24], "data_offsets": [0, 24]}},
        {name: entry for name, entry in GOOD.items() if name != "b"},
        GOOD | {"d": {}},
        GOOD | {"d": 7},
        [1, 2],
        b"{",
        b"[" * 100_000,
        b"\xff\xff",
    ],
)
def test_a_header_that_does_not_add_up_is_refused(tmp_path, header):
    with pytest.raises(TrainingError, match="is no whole safetensors file; fetch or copy"):
        read_header(write(tmp_path / "x", header))


@pytest.mark.parametrize("length", [10**6, 2**63, 2**64 - 1])
def test_a_giant_header_is_not_read(tmp_path, length):
    with pytest.raises(TrainingError, match="is no whole safetensors file"):
        read_header(write(tmp_path / "x", GOOD, length=length))


@pytest.mark.parametrize("data", [b"\0" * 25, b"\0" * 27])
def test_a_byte_too_few_or_too_many_is_refused(tmp_path, data):
    with pytest.raises(TrainingError, match="is no whole safetensors file"):
        read_header(write(tmp_path / "x", GOOD, data))


@pytest.mark.parametrize("content", [b"", b"\0\0\0"])
def test_a_file_without_a_header_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(TrainingError, match="is no whole safetensors file"):
        read_header(tmp_path / "x")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainingError, match="x cannot be read: No such file"):
        read_header(tmp_path / "x")

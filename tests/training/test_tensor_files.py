import json

import pytest

from training import tensor_files
from training.errors import TrainingError
from training.headers import read_header
from training.tensor_files import rewrite


def write(path):
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
        "b": {"dtype": "U8", "shape": [8], "data_offsets": [4, 12]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(range(12)))
    return path


def test_tensors_keep_their_bytes_under_other_names(tmp_path):
    source, target = write(tmp_path / "source"), tmp_path / "target"

    rewrite(source, target, rename=str.upper, keep=lambda name: name == "b", metadata={"c": "d"})

    header = read_header(target)
    assert header.metadata == {"c": "d"}
    assert target.read_bytes()[header.tensors["B"].start :] == bytes(range(4, 12))


def test_a_source_that_is_cut_short_meanwhile_ends_in_a_sentence(tmp_path, monkeypatch):
    source = write(tmp_path / "source")

    def read_and_cut(path):
        header = read_header(path)
        path.write_bytes(path.read_bytes()[:-3])
        return header

    monkeypatch.setattr(tensor_files, "read_header", read_and_cut)
    with pytest.raises(TrainingError, match="was cut short meanwhile; copy it again"):
        rewrite(source, tmp_path / "target")

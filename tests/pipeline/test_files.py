import pytest

from pipeline.files import write_whole


def test_a_file_is_written_with_its_folders_and_leaves_nothing_beside_it(tmp_path):
    write_whole(tmp_path / "a" / "b.json", b"{}")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]
    assert (tmp_path / "a" / "b.json").read_bytes() == b"{}"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_whole(tmp_path / "b.json", b"old")
    with pytest.raises(TypeError):
        write_whole(tmp_path / "b.json", "not bytes")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]

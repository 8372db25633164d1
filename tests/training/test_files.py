import pytest

from training.errors import TrainingError
from training.files import link_or_copy, saying, whole_file, whole_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def break_off(path):
    path.write_text("half")
    raise ValueError("broken")


def test_a_file_is_there_when_it_is_whole(tmp_path):
    with whole_file(tmp_path / "a.png") as aside:
        aside.write_text("half")
        assert not (tmp_path / "a.png").exists()

    assert names(tmp_path) == ["a.png"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.png").write_text("old")

    with pytest.raises(ValueError, match="broken"), whole_file(tmp_path / "a.png") as aside:
        break_off(aside)

    assert names(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "old"


def test_a_folder_replaces_what_was_there_and_clears_what_a_kill_left(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()
    (tmp_path / ".set.12345.part").mkdir()
    (tmp_path / ".set-2.12345.part").mkdir()

    with whole_folder(tmp_path / "set") as aside:
        (aside / "new").touch()

    assert names(tmp_path) == [".set-2.12345.part", "set"]
    assert names(tmp_path / "set") == ["new"]


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").touch()

    with pytest.raises(ValueError, match="broken"), whole_folder(tmp_path / "set") as aside:
        break_off(aside / "new")

    assert names(tmp_path) == ["set"]
    assert names(tmp_path / "set") == ["old"]


def test_a_link_leads_to_the_bytes_not_to_another_link(tmp_path):
    (tmp_path / "blob").write_text("weights")
    (tmp_path / "snapshot").symlink_to("blob")

    link_or_copy(tmp_path / "snapshot", tmp_path / "model" / "weights")

    assert not (tmp_path / "model" / "weights").is_symlink()
    assert (tmp_path / "model" / "weights").samefile(tmp_path / "blob")


def test_where_links_cannot_be_made_bytes_are_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "blob").write_text("weights")

    link_or_copy(tmp_path / "blob", tmp_path / "copy")

    assert (tmp_path / "copy").read_text() == "weights"
    assert (tmp_path / "blob").stat().st_nlink == 1


def test_a_full_disk_is_said_in_a_sentence():
    with (
        pytest.raises(TrainingError, match=r"loss\.png cannot be written \(No space"),
        saying("loss.png"),
    ):
        raise OSError(28, "No space left on device")

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from storage.errors import StorageUnusable
from storage.folder import DataFolder


@pytest.fixture
def folder(tmp_path):
    return DataFolder(tmp_path / "data")


def test_locking_makes_the_folder(folder):
    with folder.lock("A bot"):
        assert (folder.path / "lock").read_text() == f"A bot (pid {os.getpid()})"


def test_a_second_holder_is_told_who_has_it(folder):
    with folder.lock("A bot"), pytest.raises(StorageUnusable) as refusal:
        folder.lock("emf make")
    assert str(refusal.value) == (
        f"A bot (pid {os.getpid()}) is using {folder.given}; stop it or use its slash commands."
    )


def test_a_second_command_is_told_to_wait_as_a_command_has_no_slash_commands(folder):
    with folder.lock("emf make"), pytest.raises(StorageUnusable) as refusal:
        folder.lock("emf script")
    assert str(refusal.value) == (
        f"emf make (pid {os.getpid()}) is using {folder.given}; wait for it or stop it."
    )


def test_a_released_lock_can_be_taken_again(folder):
    folder.lock("A bot").release()
    with folder.lock("emf make"):
        assert (folder.path / "lock").read_text().startswith("emf make")


def test_releasing_twice_is_harmless(folder):
    lock = folder.lock("A bot")
    lock.release()
    lock.release()


def test_the_lock_of_a_killed_process_is_free(folder):
    script = f"""
        import os, pathlib
        from storage.folder import DataFolder
        lock = DataFolder(pathlib.Path({str(folder.path)!r})).lock("A bot")
        os.kill(os.getpid(), 9)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60)
    assert killed.returncode == -9
    with folder.lock("emf make"):
        assert (folder.path / "lock").read_text() == f"emf make (pid {os.getpid()})"


def test_a_child_process_does_not_inherit_the_lock(folder):
    lock = folder.lock("A bot")
    child = subprocess.Popen(["sleep", "20"], close_fds=False)
    try:
        lock.release()
        folder.lock("emf make").release()
    finally:
        child.kill()
        child.wait()


def test_a_file_in_the_way_is_one_sentence(tmp_path):
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(StorageUnusable, match=r"DATA_DIR=.* cannot be written .*; choose"):
        DataFolder(tmp_path / "data").lock("A bot")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_sentence(folder):
    folder.path.mkdir()
    folder.path.chmod(0o555)
    with pytest.raises(StorageUnusable, match="cannot be written"):
        folder.lock("A bot")


def test_a_folder_that_no_one_may_write_is_one_sentence():
    with pytest.raises(StorageUnusable, match="DATA_DIR=/proc/studio cannot be written"):
        DataFolder(Path("/proc/studio")).lock("A bot")


@pytest.mark.parametrize("inside", ["episodes/1/v1/reel.mp4", "a/../b.png", "."])
def test_paths_inside_are_resolved(folder, inside):
    assert folder.resolve(inside).is_relative_to(folder.path)


@pytest.mark.parametrize("outside", ["../secret", "/etc/passwd", "a/../../b"])
def test_paths_that_leave_the_folder_are_refused(folder, outside):
    with pytest.raises(StorageUnusable, match="lies outside"):
        folder.resolve(outside)


def test_a_link_that_leaves_the_folder_is_refused(folder, tmp_path):
    folder.path.mkdir()
    (folder.path / "link").symlink_to(tmp_path)
    with pytest.raises(StorageUnusable, match="lies outside"):
        folder.resolve("link/file")


def test_the_layout_is_the_documented_one(folder):
    assert folder.revision(12, 3) == folder.path / "episodes" / "12" / "v3"
    assert folder.database == folder.path / "studio.db"

import hashlib

import pytest

from storage.files import move_files, sha256_of, write_atomically


def test_writing_makes_missing_folders(tmp_path):
    write_atomically(tmp_path / "a" / "b.json", b"{}")
    assert (tmp_path / "a" / "b.json").read_bytes() == b"{}"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    write_atomically(tmp_path / "b.json", b"old")
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "b.json", "not bytes")
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]
    assert (tmp_path / "b.json").read_bytes() == b"old"


def test_moving_takes_subfolders_along_and_leaves_what_is_named(tmp_path):
    source, target = tmp_path / "attempt", tmp_path / "v1"
    for name in ("reel.mp4", "audio/001.wav", "outcome.json"):
        write_atomically(source / name, name.encode())
    move_files(source, target, leave=frozenset({"outcome.json"}))
    assert sorted(str(p.relative_to(target)) for p in target.rglob("*.*")) == [
        "audio/001.wav",
        "reel.mp4",
    ]
    assert (source / "outcome.json").exists()


def test_a_move_that_was_cut_off_is_finished_by_the_next(tmp_path):
    source, target = tmp_path / "attempt", tmp_path / "v1"
    write_atomically(source / "b.txt", b"second")
    write_atomically(target / "a.txt", b"moved before")
    move_files(source, target)
    move_files(source, target)
    assert sorted(p.name for p in target.iterdir()) == ["a.txt", "b.txt"]


def test_a_hash_is_of_the_whole_file(tmp_path):
    (tmp_path / "reel.mp4").write_bytes(b"x" * 1_000_000)
    assert sha256_of(tmp_path / "reel.mp4") == hashlib.sha256(b"x" * 1_000_000).hexdigest()

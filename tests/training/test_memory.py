"""What a run will take, against what PyTorch really keeps, and the choice when that is too much."""

import json
import re
import shutil

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from bench.random_base import _SIZES
from training.bases import open_base
from training.config import TrainingConfig
from training.errors import TrainingError
from training.memory import free_memory, largest_batch, predicted_peak_bytes, refuse_too_large

SD15_UNET, SD15_TEXT, SD15_VAE = 859_520_964, 123_060_480, 83_653_863
GIB = 1024**3


def shapes_of(model):
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def write_sparse(file, shapes):
    """A safetensors file of fp32 zeros that takes no room on the disk."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * torch.Size(shape).numel()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + end)


def full_size(folder, tiny_base, size):
    """The published network, as configuration and shapes; its weights are zeros nobody reads."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    shutil.copytree(tiny_base, folder)
    parts = _SIZES[size]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**parts["unet"])
        vae = AutoencoderKL(latent_channels=4, **parts["vae"])
        text = CLIPTextModel(CLIPTextConfig(**parts["text"]))
    for part, model in (("unet", unet), ("vae", vae), ("text_encoder", text)):
        model.save_config(
            folder / part
        ) if part != "text_encoder" else model.config.save_pretrained(folder / part)
        (weights,) = (folder / part).glob("*.safetensors")
        write_sparse(weights, shapes_of(model))
    return open_base(folder)


@pytest.fixture(scope="module")
def sd15(tmp_path_factory, tiny_base):
    return full_size(tmp_path_factory.mktemp("full") / "sd15", tiny_base, "sd15")


@pytest.fixture(scope="module")
def sd21(tmp_path_factory, tiny_base):
    return full_size(tmp_path_factory.mktemp("full") / "sd21", tiny_base, "sd21")


@pytest.fixture
def run(tmp_path):
    """Settings of the usual run; keywords win."""

    def run(**keywords):
        given = {
            "base_model": "base",
            "instance_data_dir": "pictures",
            "instance_prompt": "sks",
            "class_prompt": "dog",
            "output_dir": tmp_path,
        }
        return TrainingConfig.model_validate(given | keywords)

    return run


def test_the_numbers_of_the_published_networks_are_counted(sd15, sd21):
    assert sd15.header("unet").numbers == SD15_UNET
    assert sd21.header("unet").numbers == 865_910_724
    assert sd15.header("text_encoder").numbers == SD15_TEXT
    assert sd15.header("vae").numbers == SD15_VAE


def test_an_adapter_of_rank_16_has_three_million_numbers(sd15, run):
    assert predicted_peak_bytes(sd15, run()).trainable == 3_188_736
    assert predicted_peak_bytes(sd15, run(rank=4)).trainable == 3_188_736 // 4


def test_an_adapter_on_the_text_encoder_adds_its_own(sd15, run):
    both = predicted_peak_bytes(sd15, run(train_text_encoder=True)).trainable
    assert both == 3_188_736 + 12 * 4 * 16 * (768 + 768)


def test_a_full_run_in_fp32_keeps_four_copies_of_the_unet(sd15, run):
    whole = predicted_peak_bytes(sd15, run(method="full", mixed_precision="no"))
    frozen = 4 * (SD15_TEXT + SD15_VAE)
    assert whole.static - frozen == 16 * SD15_UNET
    assert (whole.static - frozen) / 1e9 == pytest.approx(13.75, abs=0.01)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"use_8bit_adam": True}, -6 * SD15_UNET),
        ({"use_ema": True}, 4 * SD15_UNET),
        ({"train_text_encoder": True}, 12 * SD15_TEXT),
    ],
)
def test_what_settings_cost(sd15, run, change, difference):
    before = predicted_peak_bytes(sd15, run(method="full", mixed_precision="no"))
    after = predicted_peak_bytes(sd15, run(method="full", mixed_precision="no", **change))
    assert after.static - before.static == difference


def test_activations_grow_with_images_and_places(sd15, run):
    one = predicted_peak_bytes(sd15, run()).activations
    assert predicted_peak_bytes(sd15, run(train_batch_size=3)).activations == 3 * one
    assert predicted_peak_bytes(sd15, run(with_prior_preservation=True)).activations == 2 * one
    assert predicted_peak_bytes(sd15, run(resolution=1024)).activations == 4 * one


def kept_by_torch(base, *, method, checkpointing, side):
    """Bytes that autograd holds after a forward pass, parameters left out, each tensor once."""
    from diffusers import UNet2DConditionModel
    from peft import LoraConfig

    unet = UNet2DConditionModel.from_config(base.config("unet")).train()
    if method == "lora":
        unet.requires_grad_(False)
        unet.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    if checkpointing:
        unet.enable_gradient_checkpointing()
    parameters = {p.untyped_storage().data_ptr() for p in unet.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = unet(torch.zeros(1, 4, side, side), 7, torch.zeros(1, 77, 32)).sample
    assert output.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_a_step_keeps_is_predicted(tiny_base, run, method):
    base = open_base(tiny_base)
    config = run(method=method, resolution=128, mixed_precision="no")
    predicted = predicted_peak_bytes(base, config).activations
    kept = kept_by_torch(base, method=method, checkpointing=False, side=64)
    assert predicted == pytest.approx(kept, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["sd15", "sd21"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_a_full_size_step_keeps_is_predicted(request, run, size, checkpointing):
    """Tensors without memory: the whole network passes in a second."""
    from diffusers import UNet2DConditionModel
    from torch._subclasses.fake_tensor import FakeTensorMode

    base = request.getfixturevalue(size)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage()._cdata] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with FakeTensorMode():
        unet = UNet2DConditionModel.from_config(base.config("unet")).train()
        if checkpointing:
            unet.enable_gradient_checkpointing()
        own = {parameter.untyped_storage()._cdata for parameter in unet.parameters()}
        width = base.config("unet")["cross_attention_dim"]
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            unet(torch.zeros(1, 4, 64, 64), torch.zeros(1).long(), torch.zeros(1, 77, width))
        size_kept = sum(size for key, (size, _) in kept.items() if key not in own)
    config = run(method="full", mixed_precision="no", gradient_checkpointing=checkpointing)
    predicted = predicted_peak_bytes(base, config).activations
    if checkpointing:  # and the piece that is computed again on the way back
        plain = predicted_peak_bytes(base, run(method="full", mixed_precision="no")).activations
        assert size_kept < predicted < plain / 2
    else:
        assert predicted == pytest.approx(size_kept, rel=0.03)


def test_the_goals_for_small_cards_are_in_reach(sd15, run):
    usual = {"with_prior_preservation": True}
    assert predicted_peak_bytes(sd15, run(**usual)).total < 7.5 * GIB
    small = run(method="full", use_8bit_adam=True, gradient_checkpointing=True, **usual)
    assert predicted_peak_bytes(sd15, small).total < 12 * GIB


def test_a_run_that_fits_is_let_through(tiny_base, run):
    base = open_base(tiny_base)
    assert refuse_too_large(base, run(resolution=64), free_bytes=8 * GIB).total < GIB


def test_a_run_that_does_not_fit_is_told_what_does(sd15, run):
    config = run(method="full", with_prior_preservation=True, mixed_precision="bf16")
    with pytest.raises(TrainingError) as refused:
        refuse_too_large(sd15, config, free_bytes=12 * GIB)
    text = str(refused.value)
    predicted = predicted_peak_bytes(sd15, config).total
    assert text.startswith(f"This run would take {predicted / 1e9:.1f} GB of memory and 12.9 GB ")
    assert "method: lora (" in text
    assert "gradient_checkpointing: true and use_8bit_adam: true (" in text
    assert text.endswith(".")
    assert "\n" not in text


def test_every_way_that_is_offered_fits(sd15, run):
    config = run(method="full", train_batch_size=4, resolution=768, with_prior_preservation=True)
    free = 20 * GIB
    with pytest.raises(TrainingError) as refused:
        refuse_too_large(sd15, config, free_bytes=free)
    offered = [float(size) for size in re.findall(r"\(([\d.]+) GB\)", str(refused.value))]
    assert len(offered) == 3
    assert max(offered) * 1e9 <= free + 5e7  # they are rounded


def test_with_too_little_for_anything_the_least_is_named(sd15, run):
    with pytest.raises(TrainingError, match="use a machine with more memory, as even"):
        refuse_too_large(sd15, run(), free_bytes=GIB)


def test_the_free_memory_of_this_machine_is_known():
    assert 2**20 < free_memory("cpu") < 2**50


def test_the_largest_batch_fits_and_one_more_does_not(sd15, run):
    free = 24 * GIB
    most = largest_batch(sd15, run(), free_bytes=free)
    assert 1 < most < 64
    assert predicted_peak_bytes(sd15, run(train_batch_size=most)).total <= free
    assert predicted_peak_bytes(sd15, run(train_batch_size=most + 1)).total > free
    assert largest_batch(sd15, run(), free_bytes=GIB) == 0

import json

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file

from training.bases import find_base
from training.families import open_family
from training.model_info import LORA_FILE
from training.weights import set_free


@pytest.fixture
def trained(settings, train):
    """The last checkpoint of a short run that moves its weights a lot."""

    def trained(**keywords):
        config = settings(learning_rate=0.05, max_train_steps=3, **keywords)
        train(config)
        return config, config.output_dir / "checkpoint-3"

    return trained


def say(pipeline):
    """What network and text encoder say about fixed inputs."""
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        text, _ = pipeline.encode_prompt("a photo of sks dog", "cpu", 1, False)
        return pipeline.unet(noise, 500, text).sample, text


@pytest.mark.parametrize("keywords", [{}, {"train_text_encoder": True}, {"lora_alpha": 1.0}])
def test_an_adapter_says_the_same_in_plain_diffusers(keywords, trained, tiny_base):
    config, checkpoint = trained(**keywords)
    plain = StableDiffusionPipeline.from_pretrained(tiny_base)
    before = say(plain)
    plain.load_lora_weights(checkpoint, weight_name=LORA_FILE)
    after = say(plain)

    family = open_family(find_base(config.base_model, None), config, "cpu")
    [file] = set_free(family, config).files
    file.set(load_file(checkpoint / LORA_FILE))
    family.denoiser.eval()
    family.text_encoder.eval()
    for ours, theirs in zip(say(family.pipeline()), after, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert (after[0] - before[0]).abs().max() > 1e-3
    assert torch.equal(after[1], before[1]) is not config.train_text_encoder


def test_an_adapter_changes_the_picture_in_plain_diffusers(trained, tiny_base):
    _, checkpoint = trained()
    plain = StableDiffusionPipeline.from_pretrained(tiny_base)
    plain.set_progress_bar_config(disable=True)

    def draw():
        generator = torch.Generator().manual_seed(1)
        picture = plain("a dog", num_inference_steps=2, height=32, width=32, generator=generator)
        return np.asarray(picture.images[0]).astype(int)

    before = draw()
    plain.load_lora_weights(checkpoint, weight_name=LORA_FILE)
    assert np.abs(draw() - before).mean() > 1


def test_names_are_those_of_diffusers_and_older_transformers(trained):
    _, checkpoint = trained(train_text_encoder=True)
    tensors = load_file(checkpoint / LORA_FILE)
    network = {name for name in tensors if name.startswith("unet.")}
    text = {name for name in tensors if name.startswith("text_encoder.text_model.encoder.layers.")}
    assert network | text == set(tensors)
    assert {name.rpartition(".lora.")[2] for name in network} == {"down.weight", "up.weight"}
    layers = {name.partition(".lora")[0].partition(".attn")[2][2:] for name in network}
    assert layers == {"to_q", "to_k", "to_v", "to_out.0"}
    with safe_open(checkpoint / LORA_FILE, "pt") as file:
        about = json.loads(file.metadata()["lora_adapter_metadata"])
    assert about["unet.r"] == about["unet.lora_alpha"] == about["text_encoder.r"] == 4


def test_only_the_adapter_is_free_and_it_begins_as_no_change(settings, tiny_base):
    config = settings(train_text_encoder=True)
    family = open_family(find_base(config.base_model, None), config, "cpu")
    before = say(family.pipeline())
    weights = set_free(family, config)
    free = {
        id(parameter)
        for module in (family.denoiser, family.text_encoder, family.vae)
        for parameter in module.parameters()
        if parameter.requires_grad
    }
    assert free == {id(parameter) for parameter in weights.parameters.values()}
    assert all(parameter.dtype == torch.float32 for parameter in weights.parameters.values())
    family.denoiser.eval()
    family.text_encoder.eval()
    for ours, theirs in zip(say(family.pipeline()), before, strict=True):
        assert torch.equal(ours, theirs)


def test_a_full_checkpoint_loads_in_plain_diffusers(settings, train, tiny_base):
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    config = settings(method="full", train_text_encoder=True, max_train_steps=1)
    train(config)
    checkpoint = config.output_dir / "checkpoint-1"
    for part, kind in (("unet", UNet2DConditionModel), ("text_encoder", CLIPTextModel)):
        model = kind.from_pretrained(checkpoint / part)
        base = kind.from_pretrained(tiny_base / part)
        saved = load_file(next((checkpoint / part).glob("*.safetensors")))
        names = {name.removeprefix("text_model."): tensor for name, tensor in saved.items()}
        assert set(names) == set(base.state_dict())
        assert all(torch.equal(model.state_dict()[name], value) for name, value in names.items())
        assert any(not torch.equal(base.state_dict()[name], value) for name, value in names.items())

"""Against diffusers' own parts and against closed-form values."""

import dataclasses
import json
import shutil

import pytest
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.training_utils import compute_snr

from training.bases import find_base
from training.dataset import find_pictures
from training.errors import TrainingError
from training.families import open_family
from training.objective import Objective
from training.randomness import Randomness
from training.streams import Stream, encode

KINDS = ("epsilon", "v_prediction")


@pytest.fixture
def base_of(tiny_base, tiny_v_base):
    return {"epsilon": tiny_base, "v_prediction": tiny_v_base}


@pytest.fixture
def family_of(base_of, settings):
    def family_of(kind, **keywords):
        config = settings(base_model=str(base_of[kind]), **keywords)
        return open_family(find_base(config.base_model, None), config, "cpu")

    return family_of


@pytest.mark.parametrize("kind", KINDS)
def test_noise_and_targets_are_those_of_diffusers(kind, base_of, family_of):
    family = family_of(kind)
    scheduler = DDPMScheduler.from_pretrained(base_of[kind], subfolder="scheduler")
    generator = torch.Generator().manual_seed(1)
    latents, noise = (torch.randn((4, 4, 8, 8), generator=generator) for _ in range(2))
    timesteps = torch.tensor([0, 1, 500, 999])
    noisy = family.add_noise(latents, noise, timesteps)
    torch.testing.assert_close(noisy, scheduler.add_noise(latents, noise, timesteps))
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    expected = noise if kind == "epsilon" else velocity
    torch.testing.assert_close(family.target(latents, noise, timesteps), expected)


def test_targets_have_their_closed_form_values(family_of):
    """With one latent 2 and noise 3: epsilon is 3, v is 3 cos - 2 sin of the schedule's angle."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = float(torch.cumprod(1 - betas, 0)[250])
    latents, noise = torch.full((1, 4, 1, 1), 2.0), torch.full((1, 4, 1, 1), 3.0)
    at = torch.tensor([250])
    assert float(family_of("epsilon").target(latents, noise, at)[0, 0, 0, 0]) == 3
    v = float(family_of("v_prediction").target(latents, noise, at)[0, 0, 0, 0])
    assert v == pytest.approx(3 * kept**0.5 - 2 * (1 - kept) ** 0.5, rel=1e-5)
    noisy = float(family_of("epsilon").add_noise(latents, noise, at)[0, 0, 0, 0])
    assert noisy == pytest.approx(2 * kept**0.5 + 3 * (1 - kept) ** 0.5, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_min_snr_weighs_as_its_authors_say(kind, base_of, family_of):
    family = family_of(kind)
    scheduler = DDPMScheduler.from_pretrained(base_of[kind], subfolder="scheduler")
    timesteps = torch.arange(0, 1000, 50)
    snr = compute_snr(scheduler, timesteps)
    expected = snr.clamp(max=5) / (snr if kind == "epsilon" else snr + 1)
    torch.testing.assert_close(family.loss_weight(timesteps, 5.0), expected)
    assert family.loss_weight(timesteps, 5.0).max() <= 1
    assert (family.loss_weight(timesteps, None) == 1).all()


def test_a_base_that_predicts_the_picture_itself_is_refused(tiny_base, settings, tmp_path):
    other = shutil.copytree(tiny_base, tmp_path / "sample")
    file = other / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": "sample"}))
    base = dataclasses.replace(find_base(str(tiny_base), None), path=other)
    with pytest.raises(TrainingError, match="predicts sample; training knows"):
        open_family(base, settings(), "cpu")


def test_latents_and_embeddings_are_those_of_the_pipeline(family_of, tiny_base):
    family = family_of("epsilon")
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base)
    pixels = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(1)) * 2 - 1
    mean, deviation = family.encode_image(pixels)
    with torch.no_grad():
        expected = pipeline.vae.encode(pixels).latent_dist
    scale = pipeline.vae.config.scaling_factor
    torch.testing.assert_close(mean, expected.mean * scale)
    torch.testing.assert_close(deviation, expected.std * scale)
    prompts = ["a dog", "a much longer prompt about a squirrel"]
    theirs, _ = pipeline.encode_prompt(prompts, "cpu", 1, do_classifier_free_guidance=False)
    torch.testing.assert_close(family.encode_prompts(prompts), theirs)


@pytest.mark.parametrize("snr_gamma", [None, 5.0])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_step_is_that_of_plain_diffusers_parts(
    kind, batch, snr_gamma, family_of, base_of, settings, pictures
):
    """Computed anew: each picture alone through the network, the two means added up at the end."""
    config = settings(
        base_model=str(base_of[kind]),
        train_batch_size=batch,
        snr_gamma=snr_gamma,
        prior_loss_weight=0.7,
        with_prior_preservation=True,
        class_prompt="a dog",
    )
    family = open_family(find_base(config.base_model, None), config, "cpu")
    streams = []
    for name, prompt in (("instance", config.instance_prompt), ("class", "a dog")):
        found = find_pictures(pictures, prompt)
        encoded = encode(found, family, config, stop=lambda: False)
        random = Randomness(config.seed)
        streams.append(Stream(name, found, encoded, random, 1000))
    with torch.no_grad():
        ours = Objective(family, streams, config).loss(4, 0)

    pipeline = StableDiffusionPipeline.from_pretrained(base_of[kind])
    scheduler = DDPMScheduler.from_pretrained(base_of[kind], subfolder="scheduler")
    means = []
    for stream in streams:
        losses = []
        for draw in range(4 * batch, 5 * batch):
            sample = stream.sample(draw)
            latents, noise = sample.latents[None], sample.noise[None]
            at = torch.tensor([sample.timestep])
            with torch.no_grad():
                text, _ = pipeline.encode_prompt([sample.prompt], "cpu", 1, False)
                said = pipeline.unet(scheduler.add_noise(latents, noise, at), at, text).sample
            wanted = noise if kind == "epsilon" else scheduler.get_velocity(latents, noise, at)
            snr = compute_snr(scheduler, at)
            weight = 1.0
            if snr_gamma is not None:
                weight = snr.clamp(max=snr_gamma) / (snr if kind == "epsilon" else snr + 1)
            losses.append(torch.nn.functional.mse_loss(said, wanted) * weight)
        means.append(torch.stack(losses).mean())
    torch.testing.assert_close(ours, means[0] + 0.7 * means[1], rtol=1e-5, atol=1e-6)


def test_the_prompts_of_captions_are_learned_with_their_pictures(family_of, settings, pictures):
    family = family_of("epsilon")
    found = find_pictures(pictures, "a photo of sks dog")
    encoded = encode(found, family, settings(), stop=lambda: False)
    stream = Stream("instance", found, encoded, Randomness(1), 1000)
    asleep = [draw for draw in range(5) if stream.sample(draw).prompt.endswith("asleep")]
    assert [found[stream.item(draw)].path.name for draw in asleep] == ["3.png"]


def test_threads_that_read_ahead_change_nothing(family_of, settings, pictures):
    family, found = family_of("epsilon"), find_pictures(pictures, "a dog")
    alone = encode(found, family, settings(center_crop=False), stop=lambda: False)
    config = settings(center_crop=False, num_dataloader_workers=2)
    ahead = encode(found, family, config, stop=lambda: False)
    assert [len(crops) for crops in ahead] == [len(crops) for crops in alone] == [8] * 5
    assert all(
        torch.equal(ours[0], theirs[0])
        for one, other in zip(alone, ahead, strict=True)
        for ours, theirs in zip(one, other, strict=True)
    )

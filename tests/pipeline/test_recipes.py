from types import SimpleNamespace

import pytest

from pipeline.recipes import recipe, resolution_of
from pipeline.shows import load_show
from training.config import parse_config


def base(path, unet=None, vae=None):
    configs = {"unet": unet or {}, "vae": vae or {}}
    return SimpleNamespace(path=path, config=configs.__getitem__)


def settings(tmp_path, steps=800, **values):
    character = load_show("butcher_and_nutsy").character("Nutsy").model_copy(update=values)
    folder = tmp_path / "models" / "nutsy-1"
    text = recipe(
        character,
        base(tmp_path / "bases" / "sd15"),
        folder=folder,
        pictures=folder / "pictures",
        steps=steps,
        inside=tmp_path,
    )
    return parse_config(text, relative_to=folder)


def test_a_network_is_told_the_species_unless_the_show_has_a_better_word(tmp_path):
    assert settings(tmp_path).instance_prompt == "a drawing of sks squirrel"
    named = settings(tmp_path, class_noun="cartoon squirrel")
    assert named.instance_prompt == "a drawing of sks cartoon squirrel"
    assert named.class_prompt == "a drawing of a cartoon squirrel"


@pytest.mark.parametrize(("steps", "every"), [(800, 100), (1200, 150), (8, 1), (1, 1)])
def test_a_run_has_about_eight_checkpoints_and_people_see_each(tmp_path, steps, every):
    config = settings(tmp_path, steps=steps)
    assert (config.checkpointing_steps, config.validation_steps) == (every, every)
    assert len(config.validation_prompts) == 4


def test_every_checkpoint_that_was_shown_is_kept(tmp_path):
    assert settings(tmp_path).checkpoints_kept == 0  # all of them


@pytest.mark.parametrize(
    ("unet", "vae", "pixels"),
    [
        ({"sample_size": 64}, {"block_out_channels": [1, 2, 3, 4]}, 512),
        ({"sample_size": 96}, {"block_out_channels": [1, 2, 3, 4]}, 768),
        ({"sample_size": 32}, {"block_out_channels": [1, 2]}, 64),
        ({}, {}, 512),
        ({"sample_size": 10**6}, {"block_out_channels": [1, 2]}, 512),
        ({"sample_size": [64, 96]}, {"block_out_channels": [1, 2]}, 512),
    ],
)
def test_a_run_has_the_resolution_that_its_base_was_made_for(tmp_path, unet, vae, pixels):
    assert resolution_of(base(tmp_path, unet, vae)) == pixels

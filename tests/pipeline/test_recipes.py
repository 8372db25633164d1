from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import UserError
from pipeline.recipes import recipe, resolution_of
from pipeline.shows import load_show
from training.config import parse_config


def base(path, unet=None, vae=None):
    configs = {"unet": unet or {}, "vae": vae or {}}
    return SimpleNamespace(path=path, config=configs.__getitem__)


def written(data_dir, steps=800, **values):
    character = load_show("butcher_and_nutsy").character("Nutsy").model_copy(update=values)
    folder = data_dir / "models" / "nutsy-1"
    return recipe(
        character,
        base(data_dir / "bases" / "sd15"),
        folder=folder,
        pictures=folder / "pictures",
        class_pictures=data_dir / "training" / "nutsy" / "class_images",
        steps=steps,
        inside=data_dir,
    )


def settings(tmp_path, **values):
    text = written(tmp_path, **values)
    return parse_config(text, relative_to=tmp_path / "models" / "nutsy-1")


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


def test_what_the_base_draws_serves_every_run_of_a_character_wherever_the_folder_is(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    (before / "models" / "nutsy-1").mkdir(parents=True)
    (tmp_path / "link").symlink_to(before)
    text = written(tmp_path / "link")
    before.rename(after)
    config = parse_config(text, relative_to=after / "models" / "nutsy-1")
    shared = after / "training" / "nutsy" / "class_images"
    assert config.class_images_dir.resolve() == shared
    assert Path(config.base_model).resolve() == after / "bases" / "sd15"


def test_class_pictures_outside_of_the_folder_are_refused(tmp_path):
    (tmp_path / "data" / "training").mkdir(parents=True)
    (tmp_path / "data" / "training" / "nutsy").symlink_to(tmp_path)
    with pytest.raises(UserError, match="class_data_dir lies outside"):
        written(tmp_path / "data")


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


def test_nothing_of_a_portrait_is_left_out_and_all_noise_counts_alike(tmp_path):
    assert settings(tmp_path).center_crop is False
    assert settings(tmp_path).snr_gamma == 5

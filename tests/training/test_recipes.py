"""The recipes people copy are settings that are taken, and between them show what there is."""

from pathlib import Path

import pytest
import yaml

import training
from training.config import TrainingConfig, load_config

RECIPES = sorted((Path(training.__file__).parent / "recipes").glob("*.yaml"))
PLACES = {"logging_dir", "class_data_dir", "revision"}


def by_name(name):
    return load_config(next(path for path in RECIPES if path.stem == name))


def test_there_is_one_for_each_character_and_one_for_a_full_run():
    assert {path.stem for path in RECIPES} == {"butcher", "nutsy", "full"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_taken_and_says_what_it_is_for(path):
    config = load_config(path)
    assert path.read_text().startswith("# ")
    assert config.instance_data_dir.parent.name == "pictures"
    assert config.output_dir.parent.name == "models"
    assert Path(config.base_model).parent.name == "bases"


def test_both_methods_are_shown():
    assert by_name("butcher").method == by_name("nutsy").method == "lora"
    assert by_name("full").method == "full"


def test_the_usual_run_is_that_of_the_readme():
    config = by_name("butcher")
    assert config.with_prior_preservation
    assert (config.num_class_images, config.max_train_steps) == (200, 800)
    assert (config.checkpointing_steps, config.validation_steps) == (100, 100)
    assert config.rate == pytest.approx(1e-4)


def test_no_two_recipes_write_to_the_same_folder():
    assert len({load_config(path).output_dir for path in RECIPES}) == len(RECIPES)


def test_between_them_they_show_nearly_every_setting():
    shown = set().union(*(yaml.safe_load(path.read_text()) for path in RECIPES))
    assert shown <= set(TrainingConfig.model_fields)
    rare = {"lora_alpha", "adam_beta1", "adam_beta2", "adam_epsilon", "device"}
    rare |= {"num_dataloader_workers", "validation_inference_steps"}
    assert set(TrainingConfig.model_fields) - shown - PLACES == rare

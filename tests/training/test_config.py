"""The YAML of a run: every key works, and what is wrong is one sentence that names it."""

from pathlib import Path

import pytest
import yaml

from training.config import (
    LARGEST_FILE,
    TrainingConfig,
    config_hash,
    config_text,
    load_config,
    parse_config,
    refuse_outside,
)
from training.errors import TrainingError

LEAST = {
    "base_model": "base",
    "output_dir": "run",
    "instance_data_dir": "pictures",
    "instance_prompt": "a photo of sks dog",
}
FOLDER = Path("/somewhere")


def parsed(**keys):
    return parse_config(yaml.safe_dump(LEAST | keys), relative_to=FOLDER)


def refused(text, name="mine.yaml"):
    with pytest.raises(TrainingError) as refused:
        parse_config(text, relative_to=FOLDER, name=name)
    said = str(refused.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 400
    return said


def refused_keys(**keys):
    return refused(yaml.safe_dump(LEAST | keys))


def test_four_keys_are_enough():
    config = parsed()
    assert (config.method, config.max_train_steps, config.seed) == ("lora", 800, 42)
    assert config.instance_data_dir == FOLDER / "pictures"
    assert config.class_images_dir == FOLDER / "run" / "class_images"
    assert config.plots_dir == FOLDER / "run"


@pytest.mark.parametrize("key", sorted(LEAST))
def test_a_missing_key_is_named(key):
    text = yaml.safe_dump({name: value for name, value in LEAST.items() if name != key})
    assert refused(text) == f"mine.yaml: {key} is missing."


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("logging_dir", "logs"),
        ("class_data_dir", "dogs"),
        ("num_class_images", 10),
        ("prior_loss_weight", 0.5),
        ("rank", 4),
        ("lora_alpha", 8),
        ("lora_dropout", 0.1),
        ("train_text_encoder", True),
        ("use_ema", True),
        ("ema_decay", 0.9),
        ("resolution", 768),
        ("center_crop", False),
        ("train_batch_size", 2),
        ("gradient_accumulation_steps", 4),
        ("max_train_steps", 1200),
        ("learning_rate", 1e-5),
        ("lr_scheduler", "cosine"),
        ("lr_warmup_steps", 10),
        ("adam_beta1", 0.8),
        ("adam_beta2", 0.99),
        ("adam_weight_decay", 0),
        ("adam_epsilon", 1e-6),
        ("max_grad_norm", 2),
        ("snr_gamma", 5),
        ("use_8bit_adam", True),
        ("gradient_checkpointing", True),
        ("mixed_precision", "bf16"),
        ("num_dataloader_workers", 2),
        ("checkpointing_steps", 50),
        ("keep_last", 3),
        ("keep_every", 200),
        ("validation_steps", 0),
        ("validation_prompts", ["a dog"]),
        ("validation_inference_steps", 10),
        ("seed", 7),
        ("device", "cpu"),
        ("character", "Butcher"),
        ("method", "full"),
    ],
)
def test_every_key_is_taken_and_written_back(key, value):
    config = parsed(**{key: value})
    assert getattr(config, key) != getattr(parsed(), key)
    again = parse_config(config_text(config), relative_to=Path("/elsewhere"))
    assert again == config


def test_the_list_of_keys_above_is_complete():
    marks = test_every_key_is_taken_and_written_back.pytestmark
    tried = {key for mark in marks for key, _ in mark.args[1]}
    together = {"with_prior_preservation", "class_prompt", "revision"}
    assert tried | together | set(LEAST) == set(TrainingConfig.model_fields)


def test_an_unknown_key_is_named_with_where_the_known_ones_are():
    said = refused_keys(learning_rat=1e-4)
    assert said == (
        "mine.yaml: there is no setting learning_rat; see training/recipes for those there are."
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_train_steps", 0),
        ("max_train_steps", 1_000_001),
        ("max_train_steps", "many"),
        ("max_train_steps", 1.5),
        ("resolution", 500),
        ("resolution", 8),
        ("resolution", 4096),
        ("rank", 0),
        ("learning_rate", -1),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("max_grad_norm", 0),
        ("max_grad_norm", float("inf")),
        ("prior_loss_weight", float("nan")),
        ("adam_beta2", 1),
        ("lora_dropout", 1),
        ("seed", -1),
        ("seed", 2**63),
        ("mixed_precision", "fp8"),
        ("lr_scheduler", "sine"),
        ("device", "mps"),
        ("method", "textual_inversion"),
        ("character", "../etc"),
        ("character", ""),
        ("instance_prompt", ""),
        ("instance_prompt", "a" * 501),
        ("validation_prompts", ["a"] * 17),
        ("validation_prompts", [""]),
        ("validation_prompts", "a dog"),
        ("use_ema", "perhaps"),
        ("output_dir", 7),
        ("output_dir", ["run"]),
    ],
)
def test_a_value_out_of_range_is_named(key, value):
    assert refused_keys(**{key: value}).startswith(f"mine.yaml: {key}")


def test_prior_preservation_needs_its_prompt():
    assert "with_prior_preservation needs a class_prompt" in refused_keys(
        with_prior_preservation=True
    )
    assert parsed(with_prior_preservation=True, class_prompt="a dog").class_prompt == "a dog"


def test_warming_up_longer_than_the_run_is_refused():
    assert "lr_warmup_steps is more than max_train_steps" in refused_keys(
        lr_warmup_steps=11, max_train_steps=10
    )


@pytest.mark.parametrize("revision", ["main", "ab" * 19, "AB" * 20, "ab" * 20 + "\n"])
def test_a_revision_is_a_commit(revision):
    assert "revision is a commit of 40 hexadecimal digits" in refused_keys(revision=revision)


def test_a_hub_id_with_a_commit_stays_as_it_is():
    config = parsed(base_model="somebody/dreams", revision="ab" * 20)
    assert config.base_model == "somebody/dreams"
    assert parsed(base_model="bases/dreams").base_model == "/somewhere/bases/dreams"


def test_paths_may_begin_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    config = parsed(output_dir="~/run", base_model="~/base", class_data_dir="/dogs")
    assert config.output_dir == Path("/home/somebody/run")
    assert config.base_model == "/home/somebody/base"
    assert config.class_data_dir == Path("/dogs")


def test_a_home_of_nobody_is_refused():
    assert "home" in refused_keys(output_dir="~nobody-has-this-name/run")


def test_null_means_not_given():
    config = parse_config(
        yaml.safe_dump(LEAST) + "snr_gamma: null\nlearning_rate:\nclass_prompt: ~\n",
        relative_to=FOLDER,
    )
    assert config == parsed()


@pytest.mark.parametrize("word", ["no", "No", "'no'", "false"])
def test_no_mixed_precision_may_be_written_as_yaml_reads_it(word):
    text = yaml.safe_dump(LEAST) + f"mixed_precision: {word}\n"
    assert parse_config(text, relative_to=FOLDER).mixed_precision == "no"


@pytest.mark.parametrize("word", ["1e-4", "1.0e-4", "0.0001", "1E-4"])
def test_a_rate_may_be_written_as_people_do(word):
    text = yaml.safe_dump(LEAST) + f"learning_rate: {word}\n"
    assert parse_config(text, relative_to=FOLDER).rate == pytest.approx(1e-4)


def test_the_usual_rate_depends_on_the_method():
    assert parsed().rate == 1e-4
    assert parsed(method="full").rate == 5e-6
    assert parsed(learning_rate=3e-4).rate == 3e-4


def test_all_adapters_stay_and_two_full_checkpoints():
    assert parsed().checkpoints_kept == 0
    assert parsed(method="full").checkpoints_kept == 2
    assert parsed(method="full", keep_last=5).checkpoints_kept == 5
    assert parsed(keep_last=0).checkpoints_kept == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a sentence",
        "- a\n- b\n",
        "7",
        "null",
        "a: b: c",
        "{",
        "a: 'b",
        "\tkey: 1",
        "!!python/object/apply:os.system ['true']",
        "base_model: !!python/name:os.system ''",
        "a: 2026-99-99",
        "---\na: 1\n---\nb: 2\n",
        "? [a, b]\n: c\n",
        "1: one\n",
        "\x00",
        "[" * 2000,
        "{" * 2000,
    ],
)
def test_what_is_no_list_of_settings_is_refused(text):
    assert refused(text).startswith("mine.yaml")


def test_a_key_given_twice_is_refused():
    assert "seed" in refused(yaml.safe_dump(LEAST) + "seed: 1\nseed: 2\n")


def test_aliases_are_refused():
    assert "aliases" in refused("a: &a [x, x]\nb: [*a, *a]\n")
    assert "aliases" in refused("a: &a {x: 1}\nb:\n  <<: *a\n")


def test_a_bomb_of_aliases_costs_nothing():
    lines = ["a0: &a0 [lol]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    assert "aliases" in refused("\n".join(lines))


def test_a_settings_file_is_read_relative_to_its_folder(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(LEAST))
    assert load_config(tmp_path / "mine.yaml").output_dir == tmp_path / "run"


def test_a_relative_file_gives_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump(LEAST))
    assert load_config(Path("mine.yaml")).output_dir == tmp_path / "run"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"#" * (LARGEST_FILE + 1), "is larger than 64 KiB"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, content, words):
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(TrainingError, match=words):
        load_config(tmp_path / "mine.yaml")


@pytest.mark.parametrize("name", ["gone.yaml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(TrainingError, match="cannot be read"):
        load_config(tmp_path / name)


def test_the_largest_file_is_read(tmp_path):
    text = yaml.safe_dump(LEAST)
    (tmp_path / "mine.yaml").write_text(text + "#" * (LARGEST_FILE - len(text)))
    assert load_config(tmp_path / "mine.yaml").seed == 42


@pytest.mark.parametrize(
    "key", ["base_model", "output_dir", "logging_dir", "instance_data_dir", "class_data_dir"]
)
@pytest.mark.parametrize("path", ["../out", "/etc", "inside/../../out", "link/out"])
def test_no_path_leads_out_of_a_given_folder(tmp_path, key, path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "link").symlink_to(tmp_path)
    (data / "mine.yaml").write_text(yaml.safe_dump(LEAST | {key: path}))
    with pytest.raises(TrainingError, match=f"{key} lies outside"):
        load_config(data / "mine.yaml", inside=data)


def test_paths_inside_of_a_given_folder_are_taken(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(LEAST | {"logging_dir": "a/../logs"}))
    assert load_config(tmp_path / "mine.yaml", inside=tmp_path).seed == 42


def test_a_hub_id_leads_nowhere_in_the_file_system():
    refuse_outside(
        parsed(
            base_model="somebody/dreams",
            revision="ab" * 20,
            output_dir="/somewhere/run",
        ),
        FOLDER,
    )


def test_the_hash_is_of_what_is_learnt_not_of_where_it_lies():
    assert config_hash(parsed()) == config_hash(parsed(output_dir="other", base_model="copy"))
    assert config_hash(parsed()) != config_hash(parsed(seed=43))
    assert config_hash(parsed()) != config_hash(parsed(instance_prompt="a photo of a dog"))

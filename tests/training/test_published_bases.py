"""Bases as publishers lay them out: more files, other names and types than a pipeline we save."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from training.bases import find_base
from training.headers import read_header
from training.painter import open_painter
from training.result import promote

PROMPT = "a photo of sks dog"
MERGES = ("d o", "do g</w>", "s k", "sk s</w>")
UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


def published(tiny_base, folder, *, second, half=False):
    """The tiny network laid out as Stable Diffusion 1.5, or as 2.1 for 768 pixels."""
    shutil.copytree(tiny_base, folder)
    _index(folder, second=second)
    _scheduler(folder, second=second)
    _tokenizer(folder, pad="!" if second else "<|endoftext|>")
    _text_encoder(folder, half=half)
    if half:
        for name in (UNET, VAE):
            tensors = {key: value.half() for key, value in load_file(folder / name).items()}
            save_file(tensors, folder / name, {"format": "pt"})
    # What lies beside it is never read.
    for name in (UNET, VAE, TEXT):
        beside = (folder / name).with_suffix(".fp16.safetensors")
        beside.write_bytes(b"of half the size, and torn")
        (folder / name).with_suffix(".bin").write_bytes(b"a pickle")
    (folder / "v1-5-pruned.ckpt").write_bytes(b"a pickle")
    (folder / "README.md").write_text("---\nlicense: other\n---\n")
    return folder


def _edit(file, **changes):
    data = json.loads(file.read_text()) if file.exists() else {}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(data | changes, indent=2))


def _index(folder, *, second):
    _edit(
        folder / "model_index.json",
        _diffusers_version="0.6.0",
        safety_checker=[None, None]
        if second
        else ["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
        scheduler=["diffusers", "DDIMScheduler" if second else "PNDMScheduler"],
        requires_safety_checker=not second,
    )
    _edit(folder / "feature_extractor" / "preprocessor_config.json", size=224, crop_size=224)
    if not second:
        checker = folder / "safety_checker"
        _edit(checker / "config.json", architectures=["StableDiffusionSafetyChecker"])
        (checker / "pytorch_model.bin").write_bytes(b"a pickle")


def _scheduler(folder, *, second):
    """Word for word as published; 1.5 does not say what it predicts."""
    settings = {
        "_class_name": "PNDMScheduler",
        "_diffusers_version": "0.6.0",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
        "clip_sample": False,
    }
    if second:
        settings |= {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(settings))


def _tokenizer(folder, *, pad):
    """Words and merges in two files, special words as those of 2022 wrote them."""
    tokenizer = folder / "tokenizer"
    words = sorted(
        (vocabulary := json.loads((tokenizer / "vocab.json").read_text())), key=vocabulary.get
    )
    words = [*words[:-2], *(merge.replace(" ", "") for merge in MERGES), *words[-2:]]
    shutil.rmtree(tokenizer)
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (tokenizer / "merges.txt").write_text("\n".join(("#version: 0.2", *MERGES, "")))
    start, end = (
        {"content": f"<|{name}oftext|>", "lstrip": False, "normalized": True, "single_word": False}
        | {"rstrip": False}
        for name in ("start", "end")
    )
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": pad}
    _edit(tokenizer / "special_tokens_map.json", **special)
    typed = {key: {"__type": "AddedToken", **start} for key in ("bos_token",)}
    typed |= {key: {"__type": "AddedToken", **end} for key in ("eos_token", "unk_token")}
    _edit(
        tokenizer / "tokenizer_config.json",
        **typed,
        pad_token=pad,
        add_prefix_space=False,
        do_lower_case=True,
        errors="replace",
        model_max_length=77,
        name_or_path="openai/clip-vit-large-patch14",
        special_tokens_map_file="./special_tokens_map.json",
        tokenizer_class="CLIPTokenizer",
    )


def _text_encoder(folder, *, half):
    """With `text_model.` and `position_ids`, as transformers wrote it before its fifth version."""
    file = folder / TEXT
    tensors = load_file(file)
    name = next(key for key in tensors if key.endswith("token_embedding.weight"))
    table = tensors[name]
    generator = torch.Generator().manual_seed(1)
    more = 0.02 * torch.randn(len(MERGES), table.shape[1], generator=generator)
    tensors[name] = torch.cat([table[:-2], more, table[-2:]])
    dtype = torch.float16 if half else torch.float32
    old = {
        f"text_model.{key.removeprefix('text_model.')}": value.to(dtype)
        for key, value in tensors.items()
    }
    old["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(old, file, {"format": "pt"})
    size = len(table) + len(MERGES)
    config = folder / "text_encoder" / "config.json"
    _edit(
        config,
        _name_or_path="openai/clip-vit-large-patch14",
        architectures=["CLIPTextModel"],
        torch_dtype="float16" if half else "float32",
        transformers_version="4.22.0.dev0",
        vocab_size=size,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
    )
    data = json.loads(config.read_text())
    data.pop("dtype", None)
    config.write_text(json.dumps(data))


FIRST, SECOND, HALF = {"second": False}, {"second": True}, {"second": False, "half": True}
CASES = [
    pytest.param(FIRST, "full", id="1.5, full"),
    pytest.param(SECOND, "lora", id="2.1, adapter"),
    pytest.param(FIRST, "lora", id="1.5, adapter", marks=pytest.mark.slow),
    pytest.param(SECOND, "full", id="2.1, full", marks=pytest.mark.slow),
    pytest.param(HALF, "full", id="half precision, full", marks=pytest.mark.slow),
    pytest.param(HALF, "lora", id="half precision, adapter", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("layout", "method"), CASES)
def test_a_published_base_is_trained_and_its_result_draws(
    layout, method, tiny_base, settings, train, tmp_path
):
    base = published(tiny_base, tmp_path / "base", **layout)
    config = settings(
        base_model=str(base),
        method=method,
        train_text_encoder=True,
        max_train_steps=1,
        with_prior_preservation=True,
        class_prompt="a photo of a dog",
        num_class_images=1,
    )

    assert train(config) == 1

    for folder in (config.output_dir, promote(config.output_dir, 1)):
        painter = open_painter(folder, device="cpu")
        assert painter.paint(PROMPT, seed=1, width=32, height=32, steps=2).size == (32, 32)
        painter.close()


def test_what_it_predicts_is_what_its_scheduler_says(tiny_base, tmp_path):
    first = published(tiny_base, tmp_path / "first", second=False)
    second = published(tiny_base, tmp_path / "second", second=True)
    assert find_base(str(first), None).prediction_type == "epsilon"
    assert find_base(str(second), None).prediction_type == "v_prediction"


def test_a_full_result_keeps_the_old_names_of_a_text_encoder(tiny_base, settings, train, tmp_path):
    base = published(tiny_base, tmp_path / "base", second=False)
    config = settings(base_model=str(base), method="full", max_train_steps=1)

    train(config)

    assert (
        read_header(config.output_dir / TEXT).tensors.keys()
        == read_header(base / TEXT).tensors.keys()
    )

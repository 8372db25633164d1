"""A Stable Diffusion base with random weights: full-size for measuring, tiny for tests.

It draws nothing anybody would recognise, but every layer is there, so that loading, training and
saving take the same way as with a real base. Needs no network: the tokenizer knows bytes only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

Size = Literal["tiny", "sd15", "sd21"]

_TINY: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 32,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    },
    "vae": {
        "block_out_channels": (16, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 8,
    },
    "text": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
    },
}
_FULL_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 512,
}
# Of the published models: their config.json files.
_SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": _TINY,
    "sd15": {
        "unet": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
        "vae": _FULL_VAE,
        "text": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
        },
    },
    "sd21": {
        "unet": {
            "sample_size": 64,
            "cross_attention_dim": 1024,
            "attention_head_dim": (5, 10, 20, 20),
            "use_linear_projection": True,
        },
        "vae": _FULL_VAE,
        "text": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
            "num_hidden_layers": 23,
        },
    },
}
TOKENS = 77


def make_base(
    folder: Path, *, size: Size = "tiny", prediction_type: str = "epsilon", seed: int = 0
) -> Path:
    """Write a whole pipeline in diffusers' layout; the same seed gives the same weights."""
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline
    from diffusers import UNet2DConditionModel as UNet
    from transformers import CLIPTextConfig, CLIPTextModel

    parts = _SIZES[size]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae_channels = 4
        text = CLIPTextConfig(
            vocab_size=514,
            max_position_embeddings=TOKENS,
            bos_token_id=512,
            eos_token_id=513,
            pad_token_id=513,
            **parts["text"],
        )
        pipeline = StableDiffusionPipeline(
            unet=UNet(in_channels=vae_channels, out_channels=vae_channels, **parts["unet"]),
            vae=AutoencoderKL(latent_channels=vae_channels, **parts["vae"]),
            text_encoder=CLIPTextModel(text),
            tokenizer=_byte_tokenizer(folder),
            scheduler=PNDMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                prediction_type=prediction_type,
                skip_prk_steps=True,
                steps_offset=1,
                set_alpha_to_one=False,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    return folder


def _byte_tokenizer(folder: Path) -> Any:
    """CLIP's, with a word for every byte, inside of a word and at its end, and no merges."""
    from transformers import CLIPTokenizer

    letters = _byte_letters()
    words = [*letters, *(letter + "</w>" for letter in letters)]
    vocabulary = {word: number for number, word in enumerate(words)}
    vocabulary["<|startoftext|>"] = len(words)
    vocabulary["<|endoftext|>"] = len(words) + 1
    files = folder / "tokenizer"
    files.mkdir(parents=True, exist_ok=True)
    (files / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (files / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return CLIPTokenizer(
        str(files / "vocab.json"), str(files / "merges.txt"), model_max_length=TOKENS
    )


def _byte_letters() -> list[str]:
    """The printable stand-in of every byte, as byte-level BPE has them (GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    stand_ins = dict(zip(others, range(256, 512), strict=False))
    return [chr(stand_ins.get(byte, byte)) for byte in range(256)]

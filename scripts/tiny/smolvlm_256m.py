"""Tiny SmolVLM with the odd parts of SmolVLM-256M-Instruct's files.

What differs from the 500M's: weights in bfloat16, added_tokens.json, leftovers of training in
the config (a perceiver, an unknown text architecture), and no vision sizes but the important.
"""

from __future__ import annotations

import json
from pathlib import Path

from .common import write_json
from .smolvlm import TILE, make_smolvlm


def make_smolvlm_256m(folder: Path, seed: int) -> None:
    """`Idefics3ForConditionalGeneration`, saved in bfloat16."""
    make_smolvlm(folder, seed + 13)
    _leave_traces(folder)
    _halve(folder / "model.safetensors")


def _leave_traces(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    config["torch_dtype"] = "bfloat16"
    config["text_config"] |= {
        "_flash_attn_2_enabled": True,
        "_name_or_path": "None",
        "neftune_noise_alpha": 0.0,
        "perceiver_config": {
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "model_type": "vllama3",
            "n_latents": 64,
            "resampler_depth": 6,
        },
        "pixel_shuffle_factor": config["scale_factor"],
        "qk_layer_norms": False,
        "torch_dtype": "bfloat16",
        "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16"}},
        "use_resampler": False,
    }
    config["vision_config"] |= {
        "max_image_size": {"longest_edge": TILE},
        "size": {"longest_edge": 4 * TILE},
        "torch_dtype": "bfloat16",
        "use_base_siglip": True,
    }
    write_json(folder / "config.json", config)
    added = json.loads((folder / "tokenizer_config.json").read_bytes())["added_tokens_decoder"]
    names = {token["content"]: int(number) for number, token in added.items()}
    write_json(folder / "added_tokens.json", names)


def _halve(path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = {name: weight.to(torch.bfloat16) for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})

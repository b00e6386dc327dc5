"""Tiny Moondream2 for mlx-vlm, with the published weights' names and none of its code.

mlx-vlm reads its sizes from `text_config` and `vision_config`, which the published config.json
does not have (it takes the real ones then). The tokenizer is in the second repository, as
`moondream2` lays it out.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .common import byte_level_bpe, write_json
from .moondream2 import SPECIAL, make_second_repository, save_weights

TEXT = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3}
EYES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}


def make_moondream2_mlx(folder: Path, seed: int) -> None:
    """`HfMoondream` for mlx."""
    tokenizer = byte_level_bpe(SPECIAL)
    make_second_repository(folder.parent / "hub", tokenizer)
    vocabulary = tokenizer.get_vocab_size()
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    config = {
        "architectures": ["HfMoondream"],
        "auto_map": {
            "AutoConfig": "hf_moondream.HfConfig",
            "AutoModelForCausalLM": "hf_moondream.HfMoondream",
        },
        "config": {},
        "model_type": "moondream1",
        "torch_dtype": "bfloat16",
        "text_config": {**TEXT, **heads, "vocab_size": vocabulary},
        "vision_config": {
            **EYES,
            "num_attention_heads": 2,
            "max_crops": 12,
            "proj_inner_dim": 64,
            "proj_out_dim": TEXT["hidden_size"],
        },
    }
    write_json(folder / "config.json", config)
    save_weights(_Named(_shapes(vocabulary)), folder, seed, tokenizer=tokenizer)


class _Named:
    """As much of a torch module as `save_weights` looks at."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._shapes = shapes

    def named_parameters(self) -> list[tuple[str, Any]]:
        import torch

        return [
            (name, SimpleNamespace(shape=shape, dtype=torch.bfloat16))
            for name, shape in self._shapes.items()
        ]


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    wide, eyes = TEXT["hidden_size"], EYES["hidden_size"]
    linear = {
        "text.lm_head": (vocabulary, wide),
        "vision.patch_emb": (eyes, 14 * 14 * 3),
        "vision.proj_mlp.fc1": (64, 2 * eyes),
        "vision.proj_mlp.fc2": (wide, 64),
    }
    norms = {"text.post_ln": wide, "vision.post_ln": eyes}
    for part, size, names in (("text", TEXT, ("ln",)), ("vision", EYES, ("ln1", "ln2"))):
        width, inner = size["hidden_size"], size["intermediate_size"]
        for layer in range(size["num_hidden_layers"]):
            start = f"{part}.blocks.{layer}"
            norms |= {f"{start}.{name}": width for name in names}
            linear[f"{start}.attn.qkv"] = (3 * width, width)
            linear[f"{start}.attn.proj"] = (width, width)
            linear[f"{start}.mlp.fc1"] = (inner, width)
            linear[f"{start}.mlp.fc2"] = (width, inner)
    shapes: dict[str, tuple[int, ...]] = {
        "model.text.wte": (vocabulary, wide),
        "model.vision.pos_emb": (1, 729, eyes),
    }
    for name, shape in linear.items():
        shapes |= {f"model.{name}.weight": shape, f"model.{name}.bias": shape[:1]}
    for name, width in norms.items():
        shapes |= {f"model.{name}.weight": (width,), f"model.{name}.bias": (width,)}
    return shapes

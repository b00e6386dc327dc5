"""The tiny checkpoints again in MLX's layouts, as mlx-community has the big ones.

SmolVLM2 unquantised (SmolVLM2-500M-Video-Instruct-mlx) and quantised, LLaVA 1.6 in 4 bits
(llava-v1.6-mistral-7b-4bit), the vision tower as it was.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import llava, smolvlm
from .common import write_json
from .mlx_copy import convert


def make_smolvlm2_mlx(folder: Path, seed: int) -> None:
    """SmolVLM2, bfloat16."""
    _copy(smolvlm.make_smolvlm2, folder, seed)


def make_smolvlm2_mlx_4bit(folder: Path, seed: int) -> None:
    """SmolVLM2, 4 bits."""
    _copy(smolvlm.make_smolvlm2, folder, seed, bits=4)


def make_llava_next_mlx_4bit(folder: Path, seed: int) -> None:
    """LLaVA 1.6, 4 bits."""
    _copy(llava.make_llava_next, folder, seed, bits=4)


def _copy(make: Callable[[Path, int], None], folder: Path, seed: int, *, bits: int = 0) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        source = Path(aside)
        make(source, seed)
        config = json.loads((source / "config.json").read_bytes())
        write_json(source / "config.json", config | {"torch_dtype": "bfloat16"})
        convert(source, folder, bits=bits)

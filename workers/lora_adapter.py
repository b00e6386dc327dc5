"""Refuses LoRA adapters: an engine would ignore one next to its base, and cannot load one alone.

transformers applies an adapter if peft is installed and ignores it otherwise, mlx-vlm always
ignores it: the answers would be those of another model than the one named.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection
from pathlib import Path

from .error_classes import WorkerFailure

CONFIG = "adapter_config.json"
OF_PEFT = ("adapter_model.safetensors", "adapter_model.bin")
OF_MLX = ("adapters.safetensors",)
FILES = (CONFIG, *OF_PEFT, *OF_MLX)
WEIGHTS = re.compile(r"(?:pytorch_)?(?:model|weights).*\.(?:safetensors|bin|pth?)")
SAFE_NAME = re.compile(r"[\w./][\w./-]*")  # the hint is pasted into a shell
MERGE = (
    'python -c "import sys; from peft import PeftModel; from transformers import '
    "AutoModelForImageTextToText as M, AutoProcessor as P; base, adapter, merged = sys.argv[1:]; "
    "PeftModel.from_pretrained(M.from_pretrained(base, dtype='auto'), adapter)"
    ".merge_and_unload().save_pretrained(merged); "
    'P.from_pretrained(base).save_pretrained(merged)"'
)


def refuse_adapter(model: str, names: Collection[str], base: str | None = None) -> None:
    """Raises `unsupported` if a model's files, by name, have an adapter. `base` is its base."""
    found = [name for name in FILES if name in names]
    if not found:
        return
    of_base = f" {base}" if base else ""
    if any(WEIGHTS.fullmatch(name) for name in names):
        message = (
            f"{model} has a LoRA adapter next to its weights ({', '.join(found)}), which "
            "is not applied"
        )
        folder = shlex.quote(model.rstrip("/") + "-adapter")
        moved = " ".join(shlex.quote(f"{model}/{name}") for name in found)
        hint = f"To use the weights alone, move the adapter: mkdir {folder}; mv {moved} {folder}."
        hint += f" To use both, then merge them: {merge_line(model, folder, found)}"
    else:
        message = (
            f"{model} is an adapter (LoRA) without its base model{of_base} ({', '.join(found)})"
        )
        line = merge_line(base or "BASE", shlex.quote(model), found)
        hint = f"Merge it with its base model{of_base}: {line}"
    raise WorkerFailure("unsupported", message, hint)


def refuse_adapter_in(folder: Path) -> None:
    """The same for a folder on disk."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return
    refuse_adapter(str(folder), names, read_base(folder / CONFIG))


def read_base(path: Path) -> str | None:
    """The base model that an adapter_config.json names; None if it cannot be read."""
    try:
        base = json.loads(path.read_bytes())["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return base if isinstance(base, str) and SAFE_NAME.fullmatch(base) else None


def merge_line(base: str, adapter: str, files: Collection[str]) -> str:
    """The commands that merge an adapter (quoted) into its base, then the name to use."""
    if any(name in files for name in OF_MLX):
        return "mlx-vlm has no command for that; train with peft, or use the base model"
    return (
        f"pip install peft torchvision; {MERGE} {shlex.quote(base)} {adapter} MERGED; then use the "
        "folder MERGED as the model"
    )

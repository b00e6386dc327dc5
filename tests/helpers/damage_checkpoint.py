"""Ways to damage a copy of a checkpoint: each gives a function that does it to a folder."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Break = Callable[[Path], object]
WEIGHTS = "model.safetensors"


def change(name: str, *path: str, **more: Any) -> Break:
    """Set keys of a JSON file, below `path`; None removes one."""

    def act(folder: Path) -> None:
        whole = json.loads((folder / name).read_bytes())
        part = whole
        for key in path:
            part = part[key]
        part.update(more)
        for key in [key for key, value in more.items() if value is None]:
            del part[key]
        (folder / name).write_text(json.dumps(whole))

    return act


def put(name: str, data: bytes | str) -> Break:
    return lambda folder: (folder / name).write_bytes(
        data.encode() if isinstance(data, str) else data
    )


def remove(*names: str) -> Break:
    return lambda folder: [(folder / name).unlink(missing_ok=True) for name in names]


def both(*acts: Break) -> Break:
    return lambda folder: [act(folder) for act in acts]


def cut(name: str, keep: float) -> Break:
    def act(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return act


def header(edit: Callable[[dict[str, Any]], object]) -> Break:
    """Rewrite the header of the weights; the data stay as they are."""

    def act(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        value = json.loads(data[8 : 8 + size])
        edit(value)
        text = json.dumps(value).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])

    return act


def first(value: dict[str, Any]) -> dict[str, Any]:
    """The tensor at the start of the data."""
    tensors = [tensor for name, tensor in value.items() if name != "__metadata__"]
    return min(tensors, key=lambda tensor: tensor["data_offsets"][0])


def overlap(value: dict[str, Any]) -> None:
    """Gives two tensors the same offset; the last one keeps its end."""
    begin, end = first(value)["data_offsets"]
    first(value)["data_offsets"] = [begin + 4, end + 4]


def weights(edit: Callable[[dict[str, Any]], object]) -> Break:
    def act(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / WEIGHTS)
        edit(tensors)
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    return act


def odd_type(kind: str) -> Break:
    def edit(tensors: dict[str, Any]) -> None:
        import torch

        name = next(name for name in tensors if name.endswith("lm_head.weight"))
        tensors[name] = tensors[name].to(getattr(torch, kind))

    return weights(edit)

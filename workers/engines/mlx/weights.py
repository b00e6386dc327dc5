"""Checks a loaded MLX model's weights for completeness; counts them and finds their type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten

from ...error_classes import WorkerFailure

AUXILIARY = ("scales", "biases")  # a quantised layer's, in addition to its weight


def check_modules(model: nn.Module) -> None:
    """Raises `missing_weights` where mlx-vlm dropped a part that the checkpoint has nothing of.

    It does so with a warning alone, for text-only copies of bigger models; a model that lost
    its eyes must not answer.
    """
    empty = [name for name, value in vars(model).items() if value is None]
    if not empty:
        return
    whole = type(model)(model.config)  # MLX is lazy: this allocates nothing
    lost = [name for name in empty if isinstance(getattr(whole, name, None), nn.Module)]
    if lost:
        raise WorkerFailure(
            "missing_weights",
            f"The checkpoint has no weights at all for {', '.join(lost)}",
            "The weights do not belong to the config.json of {model}; {again}",
        )


def check_types(model: nn.Module) -> None:
    """Raises `unsupported_dtype` for weights in 8-bit floats, which MLX reads as plain integers.

    Quantised layers have integers for weights too, plus scales.
    """
    for path, module in tree_flatten(model.leaf_modules(), is_leaf=nn.Module.is_module):
        weight = getattr(module, "weight", None)
        if isinstance(weight, mx.array) and weight.dtype == mx.uint8 and "scales" not in module:
            raise WorkerFailure(
                "unsupported_dtype",
                f"{path}.weight is stored in 8 bits, which mlx-vlm would take for integers",
                "Use weights of {model} in float16, bfloat16 or float32, or quantised by mlx-vlm.",
            )


@contextmanager
def note_unused_weights(notes: list[str]) -> Iterator[None]:
    """Weights that the model has no place for are noted, as in transformers, and not an error."""
    original = nn.Module.load_weights

    def load_weights(self: nn.Module, weights: Any, strict: bool = True) -> nn.Module:
        if isinstance(weights, list):
            known = {name for name, _ in tree_flatten(self.parameters())}
            unused = sorted(name for name, _ in weights if name not in known)
            if unused:
                shown = ", ".join(unused[:4])
                notes.append(f"{len(unused)} weights in the files are not used: {shown}")
            weights = [(name, weight) for name, weight in weights if name in known]
        return original(self, weights, strict=strict)

    nn.Module.load_weights = load_weights
    try:
        yield
    finally:
        nn.Module.load_weights = original


def compute_dtype(model: nn.Module) -> str:
    """The floating type that most of the weights (or their scales) have."""
    sizes: Counter[str] = Counter()
    for _, array in tree_flatten(model.parameters()):
        if mx.issubdtype(array.dtype, mx.floating):
            sizes[str(array.dtype).rpartition(".")[2]] += array.size
    return sizes.most_common(1)[0][0] if sizes else "float32"


def count_parameters(model: nn.Module) -> int:
    """Weights as they were before quantisation: 32 bits of a packed one hold several."""
    total = 0
    for _, module in tree_flatten(model.leaf_modules(), is_leaf=nn.Module.is_module):
        bits = getattr(module, "bits", None)
        for name, array in tree_flatten(module.parameters()):
            if bits and name == "weight":
                total += array.size * 32 // bits
            elif not bits or name not in AUXILIARY:
                total += array.size
    return total


def quantisation(config: Mapping[str, Any]) -> str | None:
    """A readable note on how the weights are quantised, or None."""
    scheme = config.get("quantization") or config.get("quantization_config")
    if not isinstance(scheme, dict) or "bits" not in scheme:
        return None
    mode = scheme.get("mode", "affine")
    return f"weights quantised to {scheme['bits']} bits, groups of {scheme['group_size']} ({mode})"

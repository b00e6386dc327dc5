"""Quantised checkpoints: the packages that load each scheme, and the engines that cannot.

Only config.json is read, before any model library is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from schemas.engines import engine_info, engines

from .checkpoint import MLX, Checkpoint, is_mlx_quantised
from .error_classes import WorkerFailure

# Import names by `quant_method`, as transformers asks for them when it loads the weights. For fp8
# and mxfp4 it needs no kernels: without them the weights become bfloat16.
ACCELERATE = ("accelerate",)
QUANTISERS: Mapping[str, tuple[str, ...]] = {
    "aqlm": ("aqlm", *ACCELERATE),
    "auto-round": ("auto_round",),
    "awq": ("gptqmodel", *ACCELERATE),
    "bitnet": ACCELERATE,
    "bitsandbytes": ("bitsandbytes", *ACCELERATE),
    "compressed-tensors": ("compressed_tensors",),
    "eetq": ("kernels", *ACCELERATE),
    "fbgemm_fp8": ("fbgemm_gpu", *ACCELERATE),
    "fouroversix": ("fouroversix",),
    "fp8": ACCELERATE,
    "fp_quant": ("fp_quant",),
    "gptq": ("optimum", "gptqmodel"),
    "higgs": ("flute", "fast_hadamard_transform", *ACCELERATE),
    "hqq": ("hqq",),
    "mxfp4": ACCELERATE,
    "mxfp8": ACCELERATE,
    "quanto": ("optimum.quanto", *ACCELERATE),
    "quark": ("quark",),
    "sinq": ("sinq",),
    "spqr": ("spqr_quant", *ACCELERATE),
    "torchao": ("torchao",),
    "vptq": ("vptq", *ACCELERATE),
}
# transformers 4 asks for others here.
QUANTISERS_4 = {"awq": ("awq", *ACCELERATE), "eetq": ("eetq", *ACCELERATE)}
LIBRARY = "transformers"


def quantisation_method(config: Mapping[str, Any]) -> str | None:
    """The `quant_method` of a checkpoint quantised for transformers, or None."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        scheme = part.get("quantization_config")
        if not isinstance(scheme, dict):
            continue
        if scheme.get("load_in_4bit") or scheme.get("load_in_8bit"):
            return "bitsandbytes"
        if isinstance(scheme.get("quant_method"), str):
            return str(scheme["quant_method"])
    return None


def quantiser_packages(config: Mapping[str, Any], engine: str) -> tuple[str, ...]:
    """The import names that the engine's library needs for the weights."""
    if LIBRARY not in engine_info(engine).libraries:
        return ()
    method = quantisation_method(config) or ""
    older = QUANTISERS_4.get(method) if library_major(LIBRARY) == 4 else None
    return older or QUANTISERS.get(method, ())


def library_major(package: str) -> int | None:
    """The major version of an installed package, None if unknown."""
    try:
        return int(metadata.version(package).partition(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return None


def engine_reads(config: Mapping[str, Any], engine: str) -> bool:
    """Whether the weights are not quantised, or in a way that the engine loads."""
    method, info = quantisation_method(config), engine_info(engine)
    if method is None:
        return not is_mlx_quantised(config) or info.weights_format == MLX
    return info.quantisations is None or method in info.quantisations


def check_engine_reads(checkpoint: Checkpoint, engine: str) -> None:
    """Raises `unsupported` for weights that were quantised for another engine."""
    if engine_reads(checkpoint.config, engine):
        return
    method = quantisation_method(checkpoint.config)
    by = "mlx-vlm" if method is None else method
    other = next(name for name in engines() if engine_reads(checkpoint.config, name))
    raise WorkerFailure(
        "unsupported",
        f"The weights are quantised by {by}, which the {engine} engine cannot load",
        f"Choose engine: {other} for {{model}}, or a copy of it that is not quantised by {by}.",
    )

"""Checkpoints that bring their own code: whether it may run, and the faults it has today.

Such code was written for an older transformers. What is repaired here is repaired from the
outside and holds for any such model; what only one family needs is in that family's files.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, GenerationMixin
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from schemas.commands import Load

from ...checkpoint import Checkpoint
from ...error_classes import WorkerFailure


def check_allowed(checkpoint: Checkpoint, ask: Load) -> None:
    """Raises `remote_code_not_allowed` before a line of the checkpoint's code has run.

    (That the revision is a fixed commit was checked when the files were fetched.)
    """
    if not ask.trust_remote_code:
        raise WorkerFailure(
            "remote_code_not_allowed",
            f"{checkpoint.source or checkpoint.folder} needs its own code to run",
            "If you trust its authors, set trust_remote_code for this model and pin its revision.",
        )
    elsewhere = sorted({ref.split("--")[0] for ref in _references(checkpoint) if "--" in ref})
    if elsewhere:
        raise WorkerFailure(
            "remote_code_not_allowed",
            f"Its code is another repository's, {elsewhere[0]}, which nothing pins to a commit",
            "Copy that code into a local folder of the model and name it in config.json.",
        )


def _references(checkpoint: Checkpoint) -> Iterator[str]:
    entries: Any = checkpoint.auto_map.values()
    for value in entries:
        yield from (str(ref) for ref in (value if isinstance(value, list) else [value]) if ref)


def remote_class(checkpoint: Checkpoint, auto: str) -> type[Any]:
    """The class that `auto_map` names, the very one that the Auto classes will use."""
    reference = checkpoint.auto_map.get(auto)
    if not reference:
        raise WorkerFailure(
            "bad_config",
            f"config.json names no class for {auto}",
            "The model needs its own code: an `auto_map` and the .py files in its folder.",
        )
    found: type[Any] = get_class_from_dynamic_module(
        reference, str(checkpoint.folder), local_files_only=True
    )
    return found


def ensure_post_init(remote: type[Any]) -> None:
    """Have `post_init` called where the class forgets it: transformers 5 can't load it else."""
    if getattr(remote.__init__, "calls_post_init", False):
        return
    original: Any = remote.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        five = hasattr(self, "get_expanded_tied_weights_keys")
        if five and "all_tied_weights_keys" not in vars(self):
            self.post_init()

    init.calls_post_init = True  # type: ignore[attr-defined]
    remote.__init__ = init


def cast_weights(model: Any, dtype: torch.dtype) -> None:
    """Weights in the dtype asked for: code that names its own when it makes them keeps that.

    Buffers stay as they are: a rotary table is float32 for a reason.
    """
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)


def rebuild_buffers(model: Any, device: str, dtype: torch.dtype) -> int:
    """Recompute all that `__init__` computes and no file holds; the result is how many.

    transformers 5 builds models on the meta device and leaves non-persistent buffers with
    arbitrary memory. So the class is built once more, its weights on the meta device and
    the rest for real, and the buffers are taken from there. Raises `missing_weights` where
    something is still without a value.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # as from_pretrained does
    try:
        with _weights_on_meta():
            fresh = type(model)(model.config)
    finally:
        torch.set_default_dtype(default)
    count = 0
    modules = dict(model.named_modules())
    for path, source in fresh.named_modules():
        if path in modules:
            count += _copy_buffers(source, modules[path], device)
    check_all_real(model)
    return count


def _copy_buffers(source: torch.nn.Module, target: torch.nn.Module, device: str) -> int:
    lost = target._non_persistent_buffers_set
    names = [name for name, value in source._buffers.items() if name in lost and value is not None]
    for name in names:
        target._buffers[name] = source._buffers[name].to(device)
    plain = [
        name
        for name, value in vars(target).items()
        if isinstance(value, torch.Tensor) and value.is_meta
    ]
    for name in plain:
        setattr(target, name, vars(source)[name].to(device))
    return len(names) + len(plain)


def check_all_real(model: Any) -> None:
    """Raises `missing_weights` where a tensor of the model has no values."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    empty = [name for name, value in tensors if value.is_meta]
    if empty:
        raise WorkerFailure(
            "missing_weights",
            f"{len(empty)} tensors of the model have no values: {', '.join(empty[:4])}",
            "Its own code does not fit this transformers; use an environment with an older one.",
        )


@contextmanager
def _weights_on_meta() -> Iterator[None]:
    """Parameters lose their memory as soon as they are registered; buffers stay real."""
    register = torch.nn.Module.register_parameter

    def light(self: torch.nn.Module, name: str, parameter: Any) -> None:
        if parameter is not None and not parameter.is_meta:
            parameter = torch.nn.Parameter(parameter.to("meta"), parameter.requires_grad)
        register(self, name, parameter)

    torch.nn.Module.register_parameter = light
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = register


def add_generate(model: Any) -> None:
    """`generate()` for a model inside a model, which the Auto classes can't see to.

    Since transformers 4.50 models have it only by a class of its own.
    """
    if not hasattr(model, "generate"):
        kind = type(model)
        model.__class__ = type(kind.__name__, (kind, GenerationMixin), {})
    if getattr(model, "generation_config", None) is None:
        model.generation_config = GenerationConfig.from_model_config(model.config)


def library_version() -> str:
    """The version of transformers in use."""
    return str(importlib.import_module("transformers").__version__)

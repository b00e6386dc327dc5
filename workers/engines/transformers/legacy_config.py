"""Configurations of a checkpoint's own code, as they were in transformers 4.

Version 5 has no `pad_token_id` and the like unless a class declares them, and its `rope_scaling` is
never None. Code of before reads both. The library's own classes stay as they are.
"""

from __future__ import annotations

import copy
from typing import Any

from transformers import PretrainedConfig
from transformers.dynamic_module_utils import TRANSFORMERS_DYNAMIC_MODULE_NAME

# Attributes that every configuration had; those that this transformers still has are left alone.
DEFAULTS: dict[str, Any] = {
    "add_cross_attention": False,
    "bos_token_id": None,
    "cross_attention_hidden_size": None,
    "decoder_start_token_id": None,
    "eos_token_id": None,
    "finetuning_task": None,
    "is_decoder": False,
    "pad_token_id": None,
    "prefix": None,
    "sep_token_id": None,
    "task_specific_params": None,
    "tie_encoder_decoder": False,
    "tokenizer_class": None,
    "torchscript": False,
    "use_bfloat16": False,
}


def install() -> None:
    """Have each configuration class of a checkpoint's own code restored when it is made."""
    hook: Any = getattr(PretrainedConfig.__init_subclass__, "__func__", None)
    if hook is None or getattr(hook, "restores", False):  # transformers 4, or done
        return

    def init_subclass(cls: type[Any], *args: Any, **kwargs: Any) -> None:
        hook(cls, *args, **kwargs)
        if cls.__module__.startswith(TRANSFORMERS_DYNAMIC_MODULE_NAME + "."):
            restore(cls)

    init_subclass.restores = True  # type: ignore[attr-defined]
    PretrainedConfig.__init_subclass__ = classmethod(init_subclass)


def restore(kind: type[Any]) -> None:
    """Give one class the defaults of transformers 4, and `rope_scaling` as it was given."""
    for name, value in DEFAULTS.items():
        if not hasattr(kind, name):
            setattr(kind, name, value)
    # A subclass of a library's configuration belongs to a model of that library, or a copy of it.
    ours = kind.__mro__[: kind.__mro__.index(PretrainedConfig)]
    remote = all(each.__module__ == kind.__module__ for each in ours)
    rope = vars(PretrainedConfig).get("rope_scaling")
    if remote and rope is not None and kind.rope_scaling is rope:
        kind.rope_scaling = property(_rope_scaling, _set_rope_scaling)


def _rope_scaling(config: Any) -> Any:
    if "_rope_scaling_given" in vars(config):
        return vars(config)["_rope_scaling_given"]
    return getattr(config, "rope_parameters", None)


def _set_rope_scaling(config: Any, value: Any) -> None:
    """Keep the value as given: the library adds keys to `rope_parameters`."""
    vars(config)["_rope_scaling_given"] = copy.deepcopy(value)
    config.rope_parameters = value

"""Settings of a processor: those that a checkpoint lacks, and those that the user gives.

LLaVA conversions of 2024 have no processor_config.json: their processor cannot count the tokens of
an image, and fails with `int // NoneType`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

MEDIA = ("image", "video")
CLASS_TOKEN = ("clip_vision_model", "clip")  # one more token than patches


def fill_missing_settings(processor: Any, config: Mapping[str, Any]) -> list[str]:
    """Set what is None in the processor and known from the config; return a note if any was."""
    vision = config.get("vision_config") or {}
    known = {
        "patch_size": vision.get("patch_size"),
        "vision_feature_select_strategy": config.get("vision_feature_select_strategy", "default"),
    }
    missing = [name for name in known if getattr(processor, name, "") is None]
    filled = {name: known[name] for name in missing if known[name] is not None}
    if not filled:
        return []
    if (
        "patch_size" in filled
        and vision.get("model_type") in CLASS_TOKEN
        and getattr(processor, "num_additional_image_tokens", None) == 0
    ):
        filled["num_additional_image_tokens"] = 1
    for name, value in filled.items():
        setattr(processor, name, value)
    words = ", ".join(f"{name} {value}" for name, value in filled.items())
    return [f"the processor's settings lack values, taken from config.json: {words}"]


def apply_settings(processor: Any, settings: Mapping[str, Any], library: str) -> list[str]:
    """Set the user's settings where a library's own classes ignore them; return notes.

    `library` is the package whose processors are built without settings; classes of others got
    them when they were built. A setting that no part of the processor knows is noted.
    """
    parts = [processor, getattr(processor, "image_processor", None)]
    notes = []
    for name, value in settings.items():
        own = [part for part in parts if type(part).__module__.partition(".")[0] == library]
        for key, each in pixel_limits(own, name, value).items():
            for part in own:
                if hasattr(part, key):
                    setattr(part, key, each)
        if not is_known(processor, name):
            reason = f"{type(processor).__name__} has no such setting"
            notes.append(f"the processor setting {name!r} changed nothing: {reason}")
    return notes


def pixel_limits(parts: Iterable[Any], name: str, value: Any) -> dict[str, Any]:
    """A setting as the parts name it: `size` of Qwen's processors is a range of pixels."""
    ranged = name == "size" and isinstance(value, Mapping)
    if ranged and not any(hasattr(part, "size") for part in parts):
        names = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}
        return {key: value[edge] for key, edge in names.items() if edge in value}
    return {name: value}


def is_known(processor: Any, name: str) -> bool:
    """Whether some part of a processor takes a setting of this name."""
    tokenizer = getattr(processor, "tokenizer", processor)
    parts = [processor, *(getattr(processor, f"{kind}_processor", None) for kind in MEDIA)]
    names = {name for part in parts if part is not None for name in setting_names(part)}
    limits = {"min_pixels", "max_pixels"} <= names
    return name in names or (name == "size" and limits) or hasattr(tokenizer, name)


def setting_names(part: Any) -> set[str]:
    """The settings that a processor's class declares."""
    names = set(inspect.signature(type(part).__init__).parameters)
    valid = getattr(part, "valid_kwargs", None)  # transformers 5
    names |= set(getattr(valid, "__annotations__", ()))
    return names - {"self", "args", "kwargs"}

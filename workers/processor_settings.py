"""Fills in settings that a checkpoint's processor lacks, from the model's config.

LLaVA conversions of 2024 have no processor_config.json: their processor cannot count the tokens of
an image, and fails with `int // NoneType`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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

"""Processors whose video part can't be had: without torchvision they still take images.

Many processors (Qwen's, InternVL's) are made of a tokenizer, an image processor and a video
processor, and only the last insists on torchvision. Nothing here helps a model to see videos.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from transformers import ProcessorMixin


def wants_torchvision(error: Exception) -> bool:
    """Whether this is the complaint that torchvision is missing, and it is."""
    missing = importlib.util.find_spec("torchvision") is None
    return missing and "torchvision" in str(error).lower()


def disable_video_processor() -> None:
    """From now on processors are made without a video processor, where that comes last.

    For the whole process, which has one model: the processor asks for its parts again and again.
    """
    original = ProcessorMixin.get_attributes.__func__

    def parts(cls: type[Any]) -> list[str]:
        names: list[str] = original(cls)
        return names[:-1] if names[-1:] == ["video_processor"] else names

    ProcessorMixin.get_attributes = classmethod(parts)

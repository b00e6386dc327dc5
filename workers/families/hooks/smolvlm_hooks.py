"""Loads SmolVLM and SmolVLM2 with transformers."""

from __future__ import annotations

import importlib.util
from typing import Any

from workers.engines.transformers.adapter import ModelAdapter


class SmolVLMHooks(ModelAdapter):
    """SmolVLM (idefics3) needs nothing of its own; SmolVLM2 does without torchvision."""

    def make_processor(self) -> Any:
        if self.checkpoint.model_type != "smolvlm" or importlib.util.find_spec("torchvision"):
            return super().make_processor()
        # Not at the top: transformers 4 refuses the import itself where torchvision is missing,
        # which SmolVLM (idefics3) does not need.
        from .smolvlm_processor import ImageProcessor

        self.notes.append("no torchvision here: the processor was built without video")
        options = {**self.ask.processor, **self.common()}
        return ImageProcessor.from_pretrained(str(self.checkpoint.folder), **options)

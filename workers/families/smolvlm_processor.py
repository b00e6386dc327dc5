"""SmolVLM2's processor where torchvision is missing: pictures only.

Its class insists on a video processor, which insists on torchvision. Pictures need neither.
"""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

from transformers import ProcessorMixin, SmolVLMProcessor

from workers.engines.transformers.hooks import Hooks


class _WithoutVideo(ProcessorMixin):  # type: ignore[misc]
    """Stands behind `SmolVLMProcessor` and drops the video processor it hands on."""

    def __init__(self, image_processor: Any, tokenizer: Any, _: None, **options: Any) -> None:
        super().__init__(image_processor, tokenizer, **options)


class PictureProcessor(SmolVLMProcessor, _WithoutVideo):  # type: ignore[misc]
    """`SmolVLMProcessor` made of its other parts; the signature says which those are."""

    video_processor = SimpleNamespace(num_frames=None, fps=None)  # what the template step reads

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        image_seq_len: int = 169,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(
            image_processor,
            tokenizer,
            None,
            image_seq_len=image_seq_len,
            chat_template=chat_template,
        )


class SmolVLMHooks(Hooks):
    """SmolVLM (idefics3) needs nothing of its own; SmolVLM2 does without torchvision."""

    def make_processor(self) -> Any:
        if self.checkpoint.model_type != "smolvlm" or importlib.util.find_spec("torchvision"):
            return super().make_processor()
        self.notes.append("no torchvision here: the processor was built without video")
        options = {**self.common(), **self.ask.processor}
        return PictureProcessor.from_pretrained(str(self.checkpoint.folder), **options)

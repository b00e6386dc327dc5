"""SmolVLM2's processor where torchvision is missing: images only.

Its class insists on a video processor, which insists on torchvision. Images need neither.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from transformers import ProcessorMixin, SmolVLMProcessor


class _WithoutVideo(ProcessorMixin):  # type: ignore[misc]
    """Base after `SmolVLMProcessor` that drops the video processor passed to it."""

    def __init__(self, image_processor: Any, tokenizer: Any, _: None, **options: Any) -> None:
        super().__init__(image_processor, tokenizer, **options)


class ImageProcessor(SmolVLMProcessor, _WithoutVideo):  # type: ignore[misc]
    """`SmolVLMProcessor` made of its other parts; the signature names them."""

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

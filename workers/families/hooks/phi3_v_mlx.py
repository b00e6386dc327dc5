"""Phi-3.5-vision in mlx-vlm: numbered image slots, and image tokens that are negative ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_vlm.models.phi3_v.vision import VisionModel

from schemas.commands import Turn
from workers.engines.mlx.hooks import ModelAdapter
from workers.engines.transformers.prompt import template_errors
from workers.error_classes import WorkerFailure

SLOT = re.compile(r"<\|image_\d+\|>")
TILE = 336  # pixels


class Phi3VHooks(ModelAdapter):
    """The template takes only text, so these hooks add the image slots it was trained with."""

    def load_model(self) -> None:
        # mlx-vlm always builds CLIP ViT-L. Published configs agree with it and
        # do not set these; a checkpoint with a smaller tower does, as the tiny one does.
        vision = self.checkpoint.config.get("img_processor") or {}
        for name in ("num_hidden_layers", "intermediate_size"):
            if isinstance(vision.get(name), int):
                setattr(VisionModel.CLIP_VIT_LARGE_PATCH14_336_CONFIG, name, vision[name])
        super().load_model()

    def render(self, turns: Sequence[Turn], generation: bool = True) -> str:
        """Images are numbered through the whole conversation."""
        messages, number = [], 0
        for turn in turns:
            if turn.role == "user" and SLOT.search(turn.text):
                raise WorkerFailure(
                    "unsupported",
                    "The prompt's text contains an image slot, which would be taken for an image",
                    "Give images as images, and write the prompt without <|image_1|>.",
                )
            slots = [f"<|image_{number + index}|>\n" for index, _ in enumerate(turn.images, 1)]
            number += len(slots)
            messages.append({"role": turn.role, "content": "".join([*slots, turn.text])})
        if not getattr(self.tokenizer, "chat_template", None):
            return super().render(turns, generation)  # raises what fits
        with template_errors():
            text = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=generation, tokenize=False
            )
        return str(text)

    def image_slot(self) -> None:
        """There is no one token."""

    def count_image_tokens(self, ids: mx.array, turns: Sequence[Turn]) -> int:
        return int((ids < 0).sum())

    def count_tiles(self, tensors: dict[str, Any], images: int) -> int | None:
        if not images or "image_sizes" not in tensors:
            return None
        sizes = tensors["image_sizes"].tolist()
        return sum(int(high // TILE) * int(wide // TILE) + 1 for high, wide in sizes)

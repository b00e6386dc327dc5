"""PaliGemma's prompt: image slots and a text prefix, by its processor and not by a template."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.commands import Turn
from workers.engines.transformers.adapter import ModelAdapter
from workers.engines.transformers.prompt import Inputs
from workers.error_classes import WorkerFailure


class PaliGemmaHooks(ModelAdapter):
    """A checkpoint with a chat template is prompted with it, as any other."""

    def render(self, turns: Sequence[Turn], generation: bool = True) -> str:
        if getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template:
            return super().render(turns, generation)
        if len(turns) > 1:
            raise WorkerFailure(
                "unsupported",
                "PaliGemma has no chat template: it answers single questions only",
                "Ask each question in a run of its own.",
            )
        (turn,) = turns
        return str(self.processor.image_token) * len(turn.images) + turn.text

    def prepare(self, turns: Sequence[Turn]) -> Inputs:
        if not any(turn.images for turn in turns):
            raise WorkerFailure(
                "unsupported",
                "PaliGemma's processor takes no text without an image",
                "Give it an image, or leave this model out of text-only prompts.",
            )
        return super().prepare(turns)

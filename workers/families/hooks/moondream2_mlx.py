"""Moondream2 in mlx-vlm: one question about one image.

mlx-vlm reads the tokenizer from a second repository and always trusts its code; here only its
`tokenizer.json` is read, from the cache. The prompt's frame is mlx-vlm's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mlx.core as mx
from huggingface_hub import try_to_load_from_cache
from mlx_vlm.models.moondream2.processing_moondream2 import TOKENIZER_REPO, Moondream2Processor
from mlx_vlm.models.moondream3.processing_moondream3 import NUM_VISION_TOKENS
from mlx_vlm.tokenizer_utils import NaiveStreamingDetokenizer
from mlx_vlm.utils import StoppingCriteria
from transformers import PreTrainedTokenizerFast

from schemas.commands import Turn
from workers.engines.mlx.hooks import ModelAdapter
from workers.engines.transformers.prompt import Inputs
from workers.error_classes import WorkerFailure


class MoondreamHooks(ModelAdapter):
    """The 2025 generation; mlx-vlm knows no other."""

    def load_processor(self) -> None:
        self.check_code()
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(find_tokenizer()))
        self.processor = Moondream2Processor(self.tokenizer)
        self.processor.detokenizer = NaiveStreamingDetokenizer(self.tokenizer)
        self.tokenizer.stopping_criteria = StoppingCriteria(None, self.tokenizer)
        self.notes.append(
            "mlx-vlm makes Moondream2's mask, by which the image's tokens see each other, but "
            "does not use it: answers are not those of the model's own code"
        )

    def render(self, turns: Sequence[Turn], generation: bool = True) -> str:
        """The question alone: mlx-vlm's processor frames it."""
        return turns[-1].text

    def markers(self) -> list[str]:
        """None: there is no template."""
        return []

    def prepare(self, turns: Sequence[Turn]) -> Inputs:
        images = sum(len(turn.images) for turn in turns)
        if len(turns) > 1 or images != 1:
            raise WorkerFailure(
                "unsupported",
                f"mlx-vlm's Moondream2 answers one question about one image, not {len(turns)} "
                f"turns with {images} images",
                "Ask each question in a run of its own.",
            )
        return super().prepare(turns)

    def count_image_tokens(self, ids: mx.array, turns: Sequence[Turn]) -> int:
        return int(NUM_VISION_TOKENS)  # their ids are the start token's, replaced by the image


def find_tokenizer() -> Path:
    """The second repository's tokenizer.json, if it was fetched."""
    found = try_to_load_from_cache(TOKENIZER_REPO, "tokenizer.json")
    if not isinstance(found, str):
        raise WorkerFailure(
            "not_in_cache",
            f"Moondream2's tokenizer is in {TOKENIZER_REPO}, which is not in the cache",
            f"Fetch it with the network on: hf download {TOKENIZER_REPO} tokenizer.json",
        )
    return Path(found)

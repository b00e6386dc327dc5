"""Loads and runs Moondream2 on the transformers engine.

Loads its own code with the code's faults repaired from outside; the two generations of the
interface are in `moondream2_query` and `moondream2_answer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from schemas.commands import Turn
from schemas.generation import Generation
from workers.engines.transformers import remote_code
from workers.engines.transformers.adapter import ModelAdapter
from workers.engines.transformers.prompt import Inputs, open_images
from workers.engines.transformers.streamer import TokenStreamer
from workers.error_classes import WorkerFailure
from workers.fetch import named_tokenizers

from .moondream2_legacy import LegacyInterface
from .moondream2_query import QueryInterface


class MoondreamInterface(Protocol):
    """One generation of the interface."""

    def check(self, images: int, ask: Generation) -> list[str]:
        """Notes on settings that are not known here. Raises `unsupported`."""

    def answer(
        self, image: Any, question: str, ask: Generation, streamer: TokenStreamer
    ) -> set[int]:
        """Answer into `streamer`; the result is the ids that end an answer, where known."""


class MoondreamHooks(ModelAdapter):
    """Hooks of both generations; which one it is shows once the model is loaded."""

    auto_model = AutoModelForCausalLM

    def load_processor(self) -> None:
        remote_code.check_allowed(self.checkpoint, self.ask)
        self.tokenizer = self.processor = self._find_tokenizer()

    def _find_tokenizer(self) -> Any:
        """The tokenizer the checkpoint's code will read: another repository's, or its own."""
        files = [
            _cached(model, revision) for model, revision in named_tokenizers(self.checkpoint.folder)
        ]
        if files:
            return PreTrainedTokenizerFast(tokenizer_file=files[0])
        return AutoTokenizer.from_pretrained(str(self.checkpoint.folder), **self.common())

    def load_model(self) -> None:
        kind = remote_code.remote_class(self.checkpoint, "AutoModelForCausalLM")
        remote_code.ensure_post_init(kind)
        super().load_model()
        remote_code.cast_weights(self.model, self.device.dtype)
        count = remote_code.rebuild_buffers(self.model, self.device.name, self.device.dtype)
        version = remote_code.library_version()
        self.notes.append(f"Moondream's own code on transformers {version}")
        if not version.startswith("4."):
            self.notes.append(f"{count} buffers that no file holds were recomputed")
        if hasattr(type(self.model), "query"):
            self.variant: MoondreamInterface = QueryInterface(self.model, self.device.name)
        else:
            self.variant = LegacyInterface(self.model, self.tokenizer)

    def check_keys(self, info: dict[str, Any]) -> None:
        """Some revisions make their (empty) KV caches in `__init__`: no file holds those."""
        caches = (".k_cache", ".v_cache")
        missing = [key for key in info["missing_keys"] if not key.endswith(caches)]
        super().check_keys({**info, "missing_keys": missing})

    def markers(self) -> list[str]:
        """None: there is no template, the code frames the question itself."""
        return []

    def prepare(self, turns: Sequence[Turn]) -> Inputs:
        """One question, with an image or without; counts come when the model counts."""
        if len(turns) > 1:
            raise WorkerFailure(
                "unsupported",
                "Moondream2 answers one question; it has no conversations",
                "Ask each question in a run of its own.",
            )
        images = open_images(turns)
        if len(images) > 1:
            raise WorkerFailure(
                "unsupported",
                f"Moondream2 looks at one image at a time, not at {len(images)}",
                "Ask about each image in a run of its own.",
            )
        tensors = {"image": images[0] if images else None, "question": turns[0].text}
        notes: list[str] = []  # filled when the settings are known
        return Inputs(tensors=tensors, input_tokens=0, image_tokens=None, tiles=None, notes=notes)

    def generate(self, inputs: Inputs, ask: Generation, streamer: TokenStreamer) -> set[int]:
        image, question = inputs.tensors["image"], inputs.tensors["question"]
        inputs.notes.extend(self.variant.check(int(image is not None), ask))
        if ask.do_sample and ask.seed is not None:
            torch.manual_seed(ask.seed)
        with torch.inference_mode():
            return self.variant.answer(image, question, ask, streamer)


def _cached(model: str, revision: str | None) -> str:
    """The tokenizer's file in the local cache. Raises `not_in_cache`, saying how to fetch it."""
    from huggingface_hub import hf_hub_download

    try:
        return str(
            hf_hub_download(model, "tokenizer.json", revision=revision, local_files_only=True)
        )
    except OSError as error:
        at = f" --revision {revision}" if revision else ""
        raise WorkerFailure(
            "not_in_cache",
            f"Moondream's code reads its tokenizer from a second repository, {model}, which is "
            "not in the local cache",
            f"Fetch it (network on): HF_HUB_OFFLINE=0 hf download {model} tokenizer.json{at}",
        ) from error

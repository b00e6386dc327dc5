"""Phi-3.5-vision's own code on the transformers engine.

It was written for transformers 4.43. With a cache that speaks its language (see `old_cache`)
and eager attention it runs with its KV cache on today's; each run records which cache was used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM

from schemas.commands import Turn
from schemas.generation import Generation
from workers.engines.transformers import legacy_cache, remote_code
from workers.engines.transformers.adapter import ModelAdapter
from workers.engines.transformers.prompt import Inputs, open_images, template_errors
from workers.engines.transformers.streamer import TokenStreamer
from workers.error_classes import WorkerFailure

SLOT = re.compile(r"<\|image_\d+\|>")


class Phi3VRemoteHooks(ModelAdapter):
    """`AutoModelForCausalLM` and `AutoProcessor` of the checkpoint's own code."""

    auto_model = AutoModelForCausalLM

    def load_processor(self) -> None:
        remote_code.check_allowed(self.checkpoint, self.ask)
        super().load_processor()

    def load_model(self) -> None:
        shims = legacy_cache.install()
        remote_code.ensure_post_init(
            remote_code.remote_class(self.checkpoint, "AutoModelForCausalLM")
        )
        super().load_model()
        remote_code.rebuild_buffers(self.model, self.device.name, self.device.dtype)
        self._old = bool(shims)
        if shims:
            legacy_cache.patch_prepare_inputs(self.model)
        version = remote_code.library_version()
        self._variant = (
            f"Phi-3.5-vision's own code, transformers {version} with shims ({', '.join(shims)})"
            if shims
            else f"Phi-3.5-vision's own code, native transformers {version}"
        )
        self.notes.append(self._variant)

    def model_options(self) -> dict[str, Any]:
        """Eager attention, by the private name: that one is what the code honours."""
        config = AutoConfig.from_pretrained(str(self.checkpoint.folder), **self.common())
        config._attn_implementation = "eager"
        return {"config": config}

    def markers(self) -> list[str]:
        turns = [Turn(text="x")]
        bare, full = self.render(turns, generation=False), self.render(turns)
        return [full.removeprefix(bare)] if full != bare and full.startswith(bare) else []

    def render(self, turns: Sequence[Turn], generation: bool = True) -> str:
        """The prompt: the tokenizer's template over plain texts with numbered slots."""
        if not getattr(self.tokenizer, "chat_template", None):
            raise WorkerFailure(
                "bad_template",
                "The checkpoint has no chat template",
                "Use the instruction-tuned version of this model.",
            )
        messages, number = [], 0
        for turn in turns:
            slots = ""
            for _ in turn.images:
                number += 1
                slots += f"<|image_{number}|>\n"
            messages.append({"role": turn.role, "content": slots + turn.text})
        with template_errors():
            text = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=generation, tokenize=False
            )
        return str(text)

    def prepare(self, turns: Sequence[Turn]) -> Inputs:
        if any(SLOT.search(turn.text) for turn in turns if turn.role == "user"):
            raise WorkerFailure(
                "unsupported",
                "The prompt's text contains <|image_N|>, which this model takes for an image",
                "Give images as images, and write the prompt without such a token.",
            )
        text = self.render(turns)
        images = open_images(turns)
        slots = len(SLOT.findall(text))
        if slots != len(images):
            raise WorkerFailure(
                "image_ignored",
                f"The chat template left {slots} slots for {len(images)} images",
                "Check that the model's chat template keeps <|image_N|>.",
            )
        tensors = dict(self.processor(text, images=images or None, return_tensors="pt"))
        ids = tensors["input_ids"]
        tokens = int(ids.shape[-1])
        self.check_length(tokens)
        return Inputs(
            tensors={name: self._placed(value) for name, value in tensors.items()},
            input_tokens=tokens,
            image_tokens=int((ids < 0).sum()),
            tiles=self._count_tiles(tensors),
            notes=[self._variant],
        )

    def _placed(self, value: Any) -> Any:
        """On the model's device; images in its dtype."""
        if not hasattr(value, "to"):
            return value
        value = value.to(self.device.name)
        return value.to(self.device.dtype) if value.is_floating_point() else value

    @staticmethod
    def _count_tiles(tensors: dict[str, Any]) -> int | None:
        """Tiles and overviews; `pixel_values` is padded to the most there may be."""
        sizes, pixels = tensors.get("image_sizes"), tensors.get("pixel_values")
        if sizes is None or pixels is None:
            return None
        side = int(pixels.shape[-1])
        return sum(int(h) // side * (int(w) // side) + 1 for h, w in sizes)

    def generate(self, inputs: Inputs, ask: Generation, streamer: TokenStreamer) -> set[int]:
        if inputs.image_tokens and ask.repetition_penalty not in (None, 1.0):
            raise WorkerFailure(
                "unsupported",
                "repetition_penalty looks prompt ids up, and this model's images have none",
                "Leave repetition_penalty out for Phi-3.5-vision.",
            )
        if self._old:
            inputs.tensors["past_key_values"] = legacy_cache.LegacyCache()
        return super().generate(inputs, ask, streamer)

"""Moondream's older interface: `encode_image`, then `answer_question` and nothing else.

It can neither be limited nor streamed, but inside it is an ordinary text model: that one's
`generate()` is given the limit, the streamer and a cache that speaks its language.
"""

from __future__ import annotations

from typing import Any

from schemas.generation import Generation
from workers.engines.transformers import legacy_cache, remote_code
from workers.engines.transformers.streamer import TokenStreamer
from workers.error_classes import WorkerFailure

SAMPLING = ("temperature", "top_p", "top_k")


class LegacyInterface:
    """See `moondream2_hooks.Way`."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._text_model = model.text_model
        self._old = bool(legacy_cache.install())
        remote_code.add_generate(self._text_model)
        if self._old:
            legacy_cache.patch_prepare_inputs(self._text_model)

    def check(self, images: int, ask: Generation) -> list[str]:
        if not images:
            raise WorkerFailure(
                "unsupported",
                "This revision of Moondream takes no question without an image",
                "Use a revision of 2025-06 or later, or give an image.",
            )
        return []

    def answer(
        self, image: Any, question: str, ask: Generation, streamer: TokenStreamer
    ) -> set[int]:
        seen = self._model.encode_image(image)
        text_model = self._text_model
        generate = text_model.generate
        ends: set[int] = set()

        def limited(inputs_embeds: Any = None, **options: Any) -> Any:
            tokens = int(inputs_embeds.shape[1])
            looked = int(seen.shape[-2])
            self._check_length(tokens)
            streamer.counted(tokens, looked if looked < tokens else 0)
            options.update(self._settings(ask), streamer=streamer)
            options.setdefault("attention_mask", inputs_embeds.new_ones((1, tokens)).long())
            if self._old:
                options["past_key_values"] = legacy_cache.LegacyCache()
            ends.update(_ids(options.get("eos_token_id")))
            return generate(inputs_embeds=inputs_embeds, **options)

        text_model.generate = limited
        try:
            self._model.answer_question(seen, question, self._tokenizer)
        finally:
            del text_model.generate
        return ends

    def _settings(self, ask: Generation) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "max_new_tokens": ask.max_new_tokens,
            "do_sample": ask.do_sample,
            "num_beams": 1,
        }
        if ask.do_sample:
            settings |= {
                name: getattr(ask, name) for name in SAMPLING if getattr(ask, name) is not None
            }
        if ask.repetition_penalty is not None:
            settings["repetition_penalty"] = ask.repetition_penalty
        return settings

    def _check_length(self, tokens: int) -> None:
        longest = getattr(self._text_model.config, "max_position_embeddings", None)
        if isinstance(longest, int) and tokens >= longest:
            raise WorkerFailure(
                "too_long",
                f"The prompt has {tokens} tokens, the model takes {longest}",
                "Use a shorter prompt.",
            )


def _ids(value: int | list[int] | None) -> list[int]:
    return [value] if isinstance(value, int) else list(value or ())

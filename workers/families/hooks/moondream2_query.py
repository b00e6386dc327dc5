"""Moondream2's newer interface: `encode_image`, then `query` with a stream of words.

The stream's words are not tokens, so tokens are counted where the code's loop makes them: one
when the question is taken in, one for each decoding step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from schemas.generation import Generation
from workers.engines.transformers.streamer import TokenStreamer
from workers.error_classes import WorkerFailure

BEGIN = 1  # the start token, which is encoded together with the image


class QueryInterface:
    """See `moondream2_hooks.Way`."""

    def __init__(self, model: Any, device: str) -> None:
        self._model = model
        self._inner = getattr(model, "model", model)
        self._knows = inspect.signature(model.query).parameters
        # Early 2025 the functions of the loop were in a table, and caches always float16.
        self._table: dict[str, Any] = getattr(self._inner, "ops", None) or {}
        decodes = hasattr(self._inner, "_decode_one_tok") or "decode_one_token" in self._table
        self._counts = decodes and hasattr(self._inner, "_prefill_prompt")
        if callable(getattr(self._inner, "_setup_caches", None)):
            self._inner._setup_caches()  # those of `__init__` may be of the meta device
        self._cast_crops()

    def _cast_crops(self) -> None:
        """Crops (and early caches) are made in a half precision whatever the weights are: cast
        them on their way in.
        """
        weights = self._inner.vision.parameters()
        dtype = next(each.dtype for each in weights if each.is_floating_point())
        if encode := getattr(self._inner, "_vis_enc", None):
            self._inner._vis_enc = lambda crops, *rest: encode(crops.to(dtype), *rest)
        if listed := self._table.get("vision_encoder"):
            self._table["vision_encoder"] = lambda crops, *rest: listed(crops.to(dtype), *rest)
        if prefill := self._table.get("prefill"):

            def typed_prefill(x: Any, cache: Any, *rest: Any) -> Any:
                cache.data = cache.data.to(x.dtype)  # the caller keeps this very tensor
                return prefill(x, cache, *rest)

            self._table["prefill"] = typed_prefill

    def check(self, images: int, ask: Generation) -> list[str]:
        if not images and self._knows["image"].default is not None:
            raise WorkerFailure(
                "unsupported",
                "This revision of Moondream2 takes no question without an image",
                "Use a revision of 2025-06 or later, or give an image.",
            )
        notes = []
        if ask.do_sample and ask.top_k is not None:
            notes.append("top_k was not used: Moondream's code does not know it")
        if ask.repetition_penalty not in (None, 1.0):
            notes.append("repetition_penalty was not used: Moondream's code does not know it")
        if not self._counts:
            notes.append("tokens were counted from the text: this revision shows no steps")
        return notes

    def answer(
        self, image: Any, question: str, ask: Generation, streamer: TokenStreamer
    ) -> set[int]:
        options: dict[str, Any] = {"stream": True, "settings": self._settings(ask)}
        if "reasoning" in self._knows:
            options["reasoning"] = False
        # A bare image together with settings would raise KeyError 'variant'.
        encoded = None if image is None else self._model.encode_image(image)
        if image is not None:
            options["image"] = encoded
        if not self._counts:
            return self._uncounted(encoded, question, options, ask, streamer)
        with self._counting(ask.max_new_tokens, streamer) as steps:
            for words in self._model.query(question=question, **options)["answer"]:
                streamer.write(words)
        streamer.ended = steps() < ask.max_new_tokens
        return set()

    def _settings(self, ask: Generation) -> dict[str, Any]:
        settings: dict[str, Any] = {"max_tokens": ask.max_new_tokens}
        if not ask.do_sample:
            return {**settings, "temperature": 0}
        for name in ("temperature", "top_p"):
            if getattr(ask, name) is not None:
                settings[name] = getattr(ask, name)
        return settings

    @contextmanager
    def _counting(self, most: int, streamer: TokenStreamer) -> Iterator[Callable[[], int]]:
        """Count each token while the answer is generated. Yields the number of decoding steps.

        The loop decodes once after each token it keeps, so its last step makes a token that
        is either the end or, at the limit, thrown away.
        """
        inner, prefill = self._inner, self._inner._prefill_prompt
        decode = self._table.get("decode_one_token") or inner._decode_one_tok
        arguments, steps = inspect.signature(prefill), 0

        def counted_prefill(*args: Any, **more: Any) -> Any:
            given = arguments.bind(*args, **more).arguments
            pos = int(given["pos"])
            tokens = pos + int(given["prompt_tokens"].shape[-1])
            self._check_length(tokens, most)
            streamer.counted(tokens, max(0, pos - BEGIN))
            result = prefill(*args, **more)
            streamer.step()
            return result

        def counted_decode(*args: Any, **more: Any) -> Any:
            nonlocal steps
            result = decode(*args, **more)
            steps += 1
            if steps < most:
                streamer.step()
            return result

        inner._prefill_prompt = counted_prefill
        if "decode_one_token" in self._table:
            self._table["decode_one_token"] = counted_decode
        else:
            inner._decode_one_tok = counted_decode
        try:
            yield lambda: steps
        finally:
            del inner._prefill_prompt
            vars(inner).pop("_decode_one_tok", None)
            if "decode_one_token" in self._table:
                self._table["decode_one_token"] = decode

    def _check_length(self, tokens: int, most: int) -> None:
        mask = getattr(self._inner, "attn_mask", None)
        if mask is not None and tokens + most > mask.shape[-1]:
            raise WorkerFailure(
                "too_long",
                f"The prompt has {tokens} tokens; with {most} more that is over the "
                f"{mask.shape[-1]} the model takes",
                "Use a shorter prompt or a smaller max_new_tokens.",
            )

    def _frame_tokens(self) -> int:
        """The number of tokens that the code puts around a question, where its config says."""
        config = getattr(getattr(self._inner, "config", None), "tokenizer", None)
        frame = (getattr(config, "templates", None) or {}).get("query") or {}
        return len(frame.get("prefix") or ()) + len(frame.get("suffix") or ())

    def _uncounted(
        self,
        encoded: Any,
        question: str,
        options: dict[str, Any],
        ask: Generation,
        streamer: TokenStreamer,
    ) -> set[int]:
        """Answer with a revision whose loop is unknown: only its text is measured."""
        tokenizer = self._inner.tokenizer
        places = int(getattr(encoded, "pos", 0) or 0)
        asked = len(tokenizer.encode(question).ids) + self._frame_tokens()
        looked = max(0, places - BEGIN) if places else None
        streamer.counted(places + asked, looked if encoded is not None else 0)
        for words in self._model.query(question=question, **options)["answer"]:
            streamer.step(len(tokenizer.encode(words).ids))
            streamer.write(words)
        streamer.ended = streamer.count < ask.max_new_tokens
        return set()

"""Receives each token from `generate()`, in the main thread, and reports it to the meter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transformers.generation.streamers import BaseStreamer

from ...detokenize import StreamDecoder
from ...timing import RunTimer


class TokenStreamer(BaseStreamer):  # type: ignore[misc]
    """Keeps the generated ids in `ids`: those after the prompt, and nothing else.

    `generate()` puts the whole prompt first, then each token; so the prompt is recognised by
    its place, never by its text. `visible` says whether a piece of text shows anything.

    Models with their own loop report no ids: each token is a `step`, text arrives by `write`,
    joined it is `written`, and `ended` says whether the last token ended the answer.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        meter: RunTimer,
        visible: Callable[[str], bool],
        after_token: Callable[[], None],
    ) -> None:
        self.ids: list[int] = []
        self._decoder, self._meter = StreamDecoder(decode), meter
        self._visible, self._after_token = visible, after_token
        self._prompt_seen = False
        self.count = 0
        self.written, self.ended = "", False

    def put(self, value: Any) -> None:
        """The prompt, once, shape (1, n); then each new token, shape (1,)."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.reshape(-1).tolist():
            self.ids.append(token)
            self.count += 1
            piece = self._decoder.add(token)
            self._meter.token(piece, visible=self._visible(piece))
        self._after_token()

    def step(self, n: int = 1) -> None:
        """Count `n` more tokens whose ids are unknown."""
        self.count += n
        self._meter.token("", n)
        self._after_token()

    def write(self, text: str) -> None:
        """Text of tokens already counted by `step`."""
        self.written += text
        self._meter.token(text, 0, visible=self._visible(text))

    def counted(self, input_tokens: int, image_tokens: int | None) -> None:
        """Set the input counts of a model that reports them only while generating."""
        self._meter.set_token_counts(input_tokens, image_tokens)

    def end(self) -> None:
        """Does nothing: the caller passes the whole text to the meter."""

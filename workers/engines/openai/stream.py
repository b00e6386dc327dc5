"""Listens to one answer as it comes, tells the meter, and keeps what was said.

Reasoning that a server sends apart counts as generated text, as it does in the engines where
the model writes it into its answer: it is shown, timed and kept in `raw`, between marks of ours
(the server took the model's own away), and it is no part of `text`.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field

from schemas.events import FinishReason

from ...timing import RunTimer
from . import errors
from .response import LARGEST_ANSWER, Chunk, Usage, is_streamed, read_chunks

OPEN, CLOSE = "<think>", "</think>"
LENGTH = ("length", "max_tokens")
REASONED = f"the server sent its reasoning apart: raw_text has it between {OPEN} and {CLOSE}"


@dataclass(slots=True)
class StreamedAnswer:
    """An answer so far. `usage` is the last that was told."""

    usage: Usage = field(default_factory=Usage)
    finish: str | None = None
    notes: list[str] = field(default_factory=list)
    _raw: list[str] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _size: int = 0
    _reasoning: bool = False

    @property
    def raw(self) -> str:
        """All that was generated, reasoning included."""
        return "".join(self._raw)

    @property
    def text(self) -> str:
        """The answer alone, as it came."""
        return "".join(self._text)

    def finish_reason(self, max_new_tokens: int) -> FinishReason:
        """Why it ended, in our two words; others become notes."""
        if self.finish in LENGTH:
            return "length"
        if self.finish is None:
            self.notes.append("the server did not say why the answer ended")
            return "length" if self.usage.output_tokens == max_new_tokens else "stop"
        if self.finish != "stop":
            self.notes.append(f"the server ended the answer with {self.finish[:100]!r}")
        return "stop"

    def add_chunk(self, chunk: Chunk, meter: RunTimer) -> None:
        """One chunk's effect."""
        if chunk.reasoning:
            self._say(chunk.reasoning if self._reasoning else OPEN + chunk.reasoning, meter)
            self._reasoning = True
        if chunk.text:
            self.close(meter)
            self._say(chunk.text, meter)
            self._text.append(chunk.text)
        if chunk.finish:
            self.finish = chunk.finish
            meter.token("", None, visible=False)  # the end token has no text
        self.usage = chunk.usage or self.usage

    def close(self, meter: RunTimer) -> None:
        """Ends the reasoning, if it is open."""
        if self._reasoning:
            self._reasoning = False
            self._say(CLOSE, meter, visible=False)
            if REASONED not in self.notes:
                self.notes.append(REASONED)

    def _say(self, piece: str, meter: RunTimer, visible: bool | None = None) -> None:
        self._size += len(piece)
        if self._size > LARGEST_ANSWER:
            raise errors.protocol_error(f"an answer of over {LARGEST_ANSWER:,} characters")
        self._raw.append(piece)
        meter.token(piece, None, visible=visible)


def read_answer(response: http.client.HTTPResponse, meter: RunTimer) -> StreamedAnswer:
    """The whole answer. Raises WorkerFailure where it breaks off before its end."""
    heard, ended = StreamedAnswer(), False
    if not is_streamed(response):
        heard.notes.append("the server did not stream: ttft_s is that of the whole answer")
    for chunk in read_chunks(response):
        heard.add_chunk(chunk, meter)
        ended = ended or chunk.last or chunk.finish is not None
    if not ended:
        raise errors.connection_lost()
    heard.close(meter)
    return heard

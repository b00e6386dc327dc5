"""Collects one answer as it arrives and measures it.

Reasoning that a server sends apart counts as generated text, as in engines whose models write it
into the answer: it is emitted, timed and stored in `raw_text` between <think> and </think> (the
server removed the model's own marks), and apart in `reasoning`. It is not part of `text`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.events import FinishReason

from ...timing import RunTimer
from . import errors
from .character_joiner import CharacterJoiner
from .response import LARGEST_ANSWER, Chunk
from .usage import ODD_COUNTS, Usage

OPEN, CLOSE = "<think>", "</think>"
LENGTH = ("length", "max_tokens")
REASONED = f"the server sent its reasoning apart: raw_text has it between {OPEN} and {CLOSE}"
NOT_STREAMED = "the server did not stream: ttft_s is that of the whole answer"
REFUSED = "the model refused to answer: text is its refusal"
EMPTY = "empty answer: the model ended it at once"


@dataclass(slots=True)
class StreamedAnswer:
    """An answer so far. `usage` is the last that was sent."""

    usage: Usage = field(default_factory=Usage)
    finish: str | None = None
    notes: list[str] = field(default_factory=list)
    calls_tools: bool = False
    _raw: list[str] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _text_joiner: CharacterJoiner = field(default_factory=CharacterJoiner)
    _reasoning_joiner: CharacterJoiner = field(default_factory=CharacterJoiner)
    _size: int = 0
    _in_reasoning: bool = False

    @property
    def raw(self) -> str:
        """The generated text, reasoning included."""
        return "".join(self._raw)

    @property
    def text(self) -> str:
        """The answer without its reasoning, unchanged."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str | None:
        """The reasoning, None without any."""
        return "".join(self._reasoning) or None

    def finish_reason(self, max_new_tokens: int) -> FinishReason:
        """The reason of the end as stop or length; other reasons become notes."""
        if self.finish in LENGTH:
            return "length"
        if self.finish is None:
            self.notes.append("the server gave no reason for the end of the answer")
            return "length" if self.usage.output_tokens == max_new_tokens else "stop"
        if self.finish != "stop":
            self.notes.append(f"the server ended the answer with {self.finish[:100]!r}")
        return "stop"

    def add_chunk(self, chunk: Chunk, meter: RunTimer) -> None:
        """Adds one chunk."""
        if chunk.whole:
            self._note(NOT_STREAMED)
        if chunk.refusal:
            self._note(REFUSED)
        self._add_reasoning(self._reasoning_joiner.add(chunk.reasoning), meter)
        self._add_text(self._text_joiner.add(chunk.text + chunk.refusal), meter)
        self.calls_tools = self.calls_tools or chunk.tools
        if chunk.finish:
            self.finish = chunk.finish
            meter.token("", None, visible=False)  # the end token has no text
        if chunk.usage is not None:
            self.usage = chunk.usage

    def end(self, meter: RunTimer) -> None:
        """No more chunks come: replaces characters that were never completed."""
        self._add_reasoning(self._reasoning_joiner.rest(), meter)
        self._add_text(self._text_joiner.rest(), meter)
        self._end_reasoning(meter)

    def check_complete(self) -> None:
        """Raises WorkerFailure if the answer has neither text nor reasoning."""
        if self.usage.odd:
            self._note(ODD_COUNTS)
        if self._raw or self.finish == "content_filter":
            return
        count = self.usage.output_tokens
        if self.finish == "stop" and count in (0, 1):  # 1 is the end token itself
            self._note(EMPTY)
        elif self.calls_tools:
            raise errors.no_answer("it calls tools, and none was offered")
        elif count:
            raise errors.no_answer(f"{count} output tokens counted, but no text")
        else:
            raise errors.no_answer("no text and no reasoning")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _add_reasoning(self, piece: str, meter: RunTimer) -> None:
        if not piece:
            return
        if not self._in_reasoning:
            self._in_reasoning = True
            self._note(REASONED)
            self._add_raw(OPEN, meter, visible=False)
        self._add_raw(piece, meter)
        self._reasoning.append(piece)

    def _add_text(self, piece: str, meter: RunTimer) -> None:
        if piece:
            self._end_reasoning(meter)
            self._add_raw(piece, meter)
            self._text.append(piece)

    def _end_reasoning(self, meter: RunTimer) -> None:
        if self._in_reasoning:
            self._in_reasoning = False
            self._add_raw(CLOSE, meter, visible=False)

    def _add_raw(self, piece: str, meter: RunTimer, visible: bool | None = None) -> None:
        self._size += len(piece)
        if self._size > LARGEST_ANSWER:
            raise errors.protocol_error(f"an answer of over {LARGEST_ANSWER:,} characters")
        self._raw.append(piece)
        meter.token(piece, None, visible=visible)


def read_answer(chunks: Iterable[Chunk], meter: RunTimer) -> StreamedAnswer:
    """The complete answer. Raises WorkerFailure if it breaks off or is empty."""
    answer, ended = StreamedAnswer(), False
    try:
        for chunk in chunks:
            answer.add_chunk(chunk, meter)
            ended = ended or chunk.last or chunk.finish is not None
    finally:
        answer.end(meter)
    if not ended:
        failure = errors.connection_lost()
        failure.server_state = None  # part of an answer arrived: the job may be the cause
        raise failure
    answer.check_complete()
    return answer

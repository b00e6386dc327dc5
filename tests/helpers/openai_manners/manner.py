"""One way a server behaves, what the worker must make of it, and the parts to write one with."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .server import Exchange

Behave = Callable[["Exchange"], None]
Retry = Literal["none", "worker", "queue"]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
ANSWER = "A red circle."
HALF = "A red"
DONE = "[DONE]"
TEXT_TOKENS, IMAGE_TOKENS = 12, 64  # what a polite server counts for the text, and for an image


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Expected report of the worker.

    `outcome` is ok, error (any orderly error event) or timeout (the worker waits and the
    supervisor's deadline ends it). `where` is the part that ends so. `error_classes` are those
    allowed. `text` is the answer, or, for an error or timeout, the text sent before it.
    `notes` are parts of the notes; `message` is part of an error's message, or of a progress
    message of a worker that waits. `retry` says who asks again: the worker within the run, the
    queue, or nobody; None leaves it open. `wait_s` is the least time between the first two
    requests with an image, `requests` their exact number. `counts` are token counts by field.
    """

    outcome: Literal["ok", "error", "timeout"] = "ok"
    where: Literal["load", "run"] = "run"
    error_classes: tuple[str, ...] = ()
    text: str = ANSWER
    reasoning: str | None = None
    notes: tuple[str, ...] = ()
    message: str = ""
    retry: Retry | None = "none"
    wait_s: float = 0.0
    requests: int | None = None
    finish_reason: str | None = None
    counts: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """A named manner. `question` answers chats with an image, `probe` those without one,
    `models` the request for the list of models. With `absent_s` nothing listens at first;
    `runs` is how many jobs the worker is given. `server_wait_s` is how long each may wait for the
    server. With `alone` the manner gets a server and a worker of its own.
    """

    name: str
    question: Behave
    expected: Expected
    probe: Behave | None = None
    models: Behave | None = None
    runs: int = 1
    absent_s: float | None = None
    server_wait_s: float = 8.0
    alone: bool = False


def fails(*classes: str, text: str = "", **more: Any) -> Expected:
    """An orderly error of one of these classes, after `text`."""
    return Expected(outcome="error", error_classes=classes, text=text, **more)


def delta(content: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    """One piece of a streamed answer."""
    choice = {"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def usage(prompt: Any = TEXT_TOKENS + IMAGE_TOKENS, completion: Any = 7, **more: Any) -> Any:
    """The last piece: no choice, only the counts."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    return {"object": "chat.completion.chunk", "choices": [], "usage": counts}


def message(content: Any = ANSWER, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """A whole answer in one object."""
    reply = {"role": "assistant", "content": content, **more}
    choice = {"index": 0, "message": reply, "finish_reason": finish}
    return {"object": "chat.completion", "choices": [choice], "usage": usage()["usage"]}


def event(value: Any, end: str = "\n\n") -> bytes:
    """A piece as it is sent; bytes are sent as they are."""
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"data: {text}{end}".encode()


STOP = (delta(finish="stop"), usage(), DONE)
SAID = (delta("", role="assistant"), delta(HALF), delta(" circle."))


def stream(*values: Any, **headers: str) -> Behave:
    """Sends these pieces and ends in order."""
    return lambda exchange: exchange.stream(*values, headers=headers)


def reply(status: int, value: Any, **headers: str) -> Behave:
    """Sends one body: JSON, or a string or bytes as they are. `_` in header names means `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return lambda exchange: exchange.reply(status, value, named)


def polite(exchange: Exchange) -> None:
    """Behaviour of a correct server."""
    if exchange.images:
        exchange.stream(*SAID, *STOP)
    else:
        exchange.stream(delta("A", "length"), usage(TEXT_TOKENS, 1), DONE)


def first(bad: Behave, times: int = 1) -> Behave:
    """`bad` for the first requests of its kind, then polite."""

    def behave(exchange: Exchange) -> None:
        (bad if exchange.number <= times else polite)(exchange)

    return behave


def during(seconds: float, bad: Behave, good: Behave = polite) -> Behave:
    """`bad` until that long after its first request, then `good`."""
    began: list[float] = []

    def behave(exchange: Exchange) -> None:
        if exchange.number == 1:
            began[:] = [time.monotonic()]
        (bad if time.monotonic() - began[0] < seconds else good)(exchange)

    return behave


def in_turn(*bad: Behave) -> Behave:
    """Each in sequence, then polite."""

    def behave(exchange: Exchange) -> None:
        (bad[exchange.number - 1] if exchange.number <= len(bad) else polite)(exchange)

    return behave

"""Answers that break off, stall, or end oddly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .manner import (
    ANSWER,
    DONE,
    HALF,
    SAID,
    STOP,
    Behave,
    Expected,
    Manner,
    delta,
    fails,
    first,
    message,
    reply,
    stream,
    usage,
)

if TYPE_CHECKING:
    from .server import Exchange

AGAIN = Expected(retry="worker", requests=2)
BROKEN = fails("network", text=HALF, retry="queue")


def head_then(end: Callable[[Exchange], None], *pieces: Any) -> Behave:
    """The head of a stream, these pieces, and then `end`."""

    def behave(exchange: Exchange) -> None:
        exchange.start()
        for piece in pieces:
            exchange.piece(piece)
        end(exchange)

    return behave


def bad_chunk(exchange: Exchange) -> None:
    """A chunk whose size is not numeric."""
    exchange.wfile.write(b"xyz\r\nhello\r\n")
    exchange.close()


def manners() -> list[Manner]:
    """All of them."""
    reset, close = (lambda e: e.reset()), (lambda e: e.close())
    half, torn = delta(HALF), b'data: {"choices": [{"del'
    short = reply(200, b'{"choices": [{"mess', Content_Type="application/json", Content_Length="90")

    def cut(exchange: Exchange) -> None:
        short(exchange)
        exchange.close()

    return [
        Manner(name="reset-before-headers", question=first(reset), expected=AGAIN),
        Manner(name="close-before-headers", question=first(close), expected=AGAIN),
        Manner(name="reset-after-headers", question=first(head_then(reset)), expected=AGAIN),
        Manner(name="close-after-headers", question=first(head_then(close)), expected=AGAIN),
        Manner(name="reset-mid-stream", question=head_then(reset, half), expected=BROKEN),
        Manner(name="close-mid-stream", question=head_then(close, half), expected=BROKEN),
        Manner(name="close-mid-line", question=head_then(close, half, torn), expected=BROKEN),
        Manner(name="end-mid-line", question=stream(half, torn), expected=BROKEN),
        Manner(
            name="bad-chunk-size",
            question=head_then(bad_chunk, half),
            expected=fails("network", "protocol", text=HALF, retry=None),
        ),
        Manner(
            name="short-json",
            question=cut,
            expected=fails("network", retry="queue"),
        ),
        Manner(
            name="stall-mid-stream",
            question=head_then(lambda e: e.stall(), half, delta(" cir")),
            expected=Expected(outcome="timeout", text="A red cir"),
        ),
        *ends(),
        *finishes(),
    ]


def ends() -> list[Manner]:
    """Streams without the protocol's own end, or with nothing before it."""
    return [
        Manner(
            name="no-finish-no-done",
            question=stream(*SAID),
            expected=fails("network", text=ANSWER, retry="queue"),
        ),
        Manner(name="no-done", question=stream(*SAID, *STOP[:2]), expected=Expected()),
        Manner(
            name="done-without-space",
            question=stream(*SAID, *STOP[:2], b"data:[DONE]\n\n"),
            expected=Expected(),
        ),
        Manner(
            name="only-done",
            question=stream(DONE),
            expected=fails("protocol", retry=None),
        ),
        Manner(
            name="nothing-at-all",
            question=stream(),
            expected=fails("network", "protocol", retry=None),
        ),
        Manner(
            name="empty-body",
            question=reply(200, b"", Content_Type="application/json"),
            expected=fails("network", "protocol", retry=None),
        ),
        Manner(
            name="counted-but-no-text",
            question=stream(delta(""), *STOP),
            expected=fails("protocol", retry=None),
        ),
        Manner(
            name="counted-but-no-text-whole",
            question=reply(200, message("")),
            expected=fails("protocol", retry=None),
        ),
        Manner(
            name="text-after-done",
            question=stream(*SAID, *STOP, delta(" And more.")),
            expected=Expected(),
        ),
        Manner(
            name="tool-calls-only",
            question=stream(
                delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{}"}}]),
                delta(finish="tool_calls"),
                usage(),
                DONE,
            ),
            expected=fails("protocol", "unsupported", retry=None),
        ),
    ]


def finishes() -> list[Manner]:
    """A whole answer that ends for odd reasons."""
    odd = {
        "null": (None, "stop", "gave no reason"),
        "content-filter": ("content_filter", "stop", "'content_filter'"),
        "tool-calls": ("tool_calls", "stop", "'tool_calls'"),
        "unknown": ("banana", "stop", "'banana'"),
        "number": (7, "stop", ""),
        "length": ("length", "length", ""),
        "max-tokens": ("max_tokens", "length", ""),
    }
    return [
        Manner(
            name=f"finish-{name}",
            question=stream(*SAID, delta(finish=finish), usage(), DONE),
            expected=Expected(finish_reason=reason, notes=(note,) if note else ()),
        )
        for name, (finish, reason, note) in odd.items()
    ]

"""Odd headers, event streams, encodings and speeds."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

from .manner import (
    ANSWER,
    HALF,
    SAID,
    STOP,
    Expected,
    Manner,
    delta,
    event,
    fails,
    message,
    reply,
    stream,
)

if TYPE_CHECKING:
    from .server import Exchange

ALL = (*SAID, *STOP)
WIRE = b"".join(map(event, ALL))
MEGABYTE = b"x" * (1 << 20)


def drip(exchange: Exchange) -> None:
    """A few bytes at a time."""
    exchange.start()
    for start in range(0, len(WIRE), 8):
        exchange.piece(WIRE[start : start + 8])
        time.sleep(0.005)
    exchange.end()


def endless_line(exchange: Exchange) -> None:
    """One line of 100 MB."""
    exchange.start()
    exchange.piece(delta(HALF))
    exchange.piece(b"data: ")
    for _ in range(100):
        exchange.piece(MEGABYTE)
    exchange.piece(b"\n\n")
    exchange.end()


def endless_body(exchange: Exchange) -> None:
    """A JSON string of 100 MB."""
    exchange.start({"Content-Type": "application/json"})
    exchange.piece(b'{"choices": [{"message": {"content": "')
    for _ in range(100):
        exchange.piece(MEGABYTE)
    exchange.piece(b'"}}]}')
    exchange.end()


def endless_text(exchange: Exchange) -> None:
    """Text without end, in pieces of a decent size."""
    exchange.start()
    for _ in range(100_000):
        exchange.piece(delta("word " * 2000))


def no_http(exchange: Exchange) -> None:
    """Something else than HTTP."""
    exchange.wfile.write(b"SSH-2.0-hello\r\n")
    exchange.close()


def many_headers(exchange: Exchange) -> None:
    """More headers than http.client takes."""
    exchange.start({f"X-{number}": "y" for number in range(200)})
    exchange.close()


def long_header(exchange: Exchange) -> None:
    """A header longer than http.client takes."""
    exchange.start({"X-Long": "y" * 100_000})
    exchange.close()


def zipped(exchange: Exchange) -> None:
    """Chunked and gzipped, each event flushed."""
    packer = zlib.compressobj(wbits=31)
    exchange.start({"Content-Encoding": "gzip"})
    for value in ALL:
        exchange.piece(packer.compress(event(value)) + packer.flush(zlib.Z_SYNC_FLUSH))
    exchange.piece(packer.flush())
    exchange.end()


def bomb(exchange: Exchange) -> None:
    """A gigabyte of blanks in a megabyte of gzip."""
    packer = zlib.compressobj(wbits=31)
    exchange.start({"Content-Encoding": "gzip", "Content-Type": "application/json"})
    blank = b" " * (1 << 22)
    for _ in range(256):
        exchange.piece(packer.compress(blank))
    exchange.piece(packer.flush())
    exchange.end()


def framed(name: str, *values: Any, expected: Expected | None = None, **headers: str) -> Manner:
    """A stream of these pieces."""
    return Manner(name=name, question=stream(*values, **headers), expected=expected or Expected())


def typed(name: str, kind: str, value: Any = None, expected: Expected | None = None) -> Manner:
    """A whole JSON answer (or this) with a content type."""
    data = json.dumps(message()).encode() if value is None else value
    return Manner(
        name=name, question=reply(200, data, Content_Type=kind), expected=expected or Expected()
    )


def manners() -> list[Manner]:
    """All of them."""
    lines = b"".join(json.dumps(value).encode() + b"\n" for value in ALL[:-1])
    page = b"<!doctype html><title>Welcome</title><p>Sign in"
    named = fails("protocol", retry=None)
    return [
        typed("json-as-text-plain", "text/plain; charset=utf-8"),
        typed("json-as-octet-stream", "application/octet-stream"),
        typed("json-as-event-stream", "text/event-stream"),
        typed("json-without-type", ""),
        typed("json-with-suffix", "application/vnd.api+json"),
        typed(
            "json-with-bom", "application/json", b"\xef\xbb\xbf" + json.dumps(message()).encode()
        ),
        typed("json-lines", "application/x-ndjson", lines, named),
        typed("page-200", "text/html", page, named),
        typed("page-as-text-plain", "text/plain", page, named),
        typed("plain-words-200", "text/plain", b"A red circle.", named),
        typed("not-json", "application/json", b"A red circle.", named),
        *streams(),
    ]


def streams() -> list[Manner]:
    """Event streams of unusual looks."""
    return [
        framed("stream-as-text-plain", *ALL, Content_Type="text/plain"),
        framed("stream-as-json", *ALL, Content_Type="application/json"),
        framed("stream-without-type", *ALL, Content_Type=""),
        framed("stream-comments", b": ping\n\n", *SAID, b":\n: keep-alive\n\n", *STOP),
        framed("stream-crlf", WIRE.replace(b"\n", b"\r\n")),
        framed("stream-cr", WIRE.replace(b"\n", b"\r")),
        framed("stream-bom", b"\xef\xbb\xbf", *ALL),
        framed("stream-no-space", WIRE.replace(b"data: ", b"data:")),
        framed("stream-multi-line-data", *(multi_line(value) for value in ALL)),
        framed("stream-event-names", *(b"event: message\nid: 1\n" + event(v) for v in ALL)),
        *broken_streams(),
    ]


def broken_streams() -> list[Manner]:
    """Event streams that go wrong after some text."""
    return [
        framed(
            "stream-event-error",
            delta(HALF),
            b'event: error\ndata: {"message": "boom", "code": 500}\n\n',
            expected=fails("server_error", text=HALF, message="boom", retry="queue"),
        ),
        framed(
            "stream-error-field",
            delta(HALF),
            b'error: {"message": "boom", "code": 500}\n\n',
            expected=fails("server_error", text=HALF, message="boom", retry="queue"),
        ),
        framed(
            "stream-not-json",
            delta(HALF),
            b"data: nonsense\n\n",
            expected=fails("protocol", text=HALF, message="nonsense"),
        ),
        framed(
            "stream-deep-json",
            delta(HALF),
            b"data: " + b"[" * 100_000 + b"\n\n",
            expected=fails("protocol", text=HALF),
        ),
        framed("stream-a-list", delta(HALF), [1], expected=fails("protocol", text=HALF)),
        *sizes(),
    ]


def sizes() -> list[Manner]:
    """Too slow, too large, or no HTTP."""
    named = fails("protocol", retry=None)
    return [
        Manner(name="slow-drip", question=drip, expected=Expected()),
        Manner(name="line-of-100-mb", question=endless_line, expected=fails("protocol", text=HALF)),
        Manner(name="body-of-100-mb", question=endless_body, expected=named),
        Manner(
            name="text-without-end",
            question=endless_text,
            expected=fails("protocol", text="word word", retry=None),
            alone=True,
        ),
        Manner(name="no-http", question=no_http, expected=named),
        Manner(name="many-headers", question=many_headers, expected=named),
        Manner(name="long-header", question=long_header, expected=named),
        *encodings(),
    ]


def encodings() -> list[Manner]:
    """Compressed, though nobody asked for it."""
    named = fails("protocol", retry=None)
    packed = gzip.compress(json.dumps(message()).encode())
    return [
        Manner(name="gzip-stream", question=zipped, expected=Expected()),
        Manner(
            name="gzip-whole",
            question=reply(200, packed, Content_Type="application/json", Content_Encoding="gzip"),
            expected=Expected(text=ANSWER),
        ),
        Manner(name="gzip-bomb", question=bomb, expected=named),
        Manner(
            name="gzip-torn",
            question=reply(
                200, packed[:-20], Content_Type="application/json", Content_Encoding="gzip"
            ),
            expected=fails("network", "protocol", retry=None),
        ),
        Manner(
            name="unknown-encoding",
            question=reply(200, b"\x1b\x03\x00", Content_Encoding="br"),
            expected=fails("protocol", message="encoding"),
        ),
    ]


def multi_line(value: Any) -> bytes:
    """An event whose JSON is spread over several data lines."""
    text = value if isinstance(value, str) else json.dumps(value, indent=1)
    return b"".join(b"data: " + line.encode() + b"\n" for line in text.split("\n")) + b"\n"

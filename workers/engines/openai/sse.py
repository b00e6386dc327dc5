"""Parses server-sent events from pieces of bytes, with bounds.

Only what the protocol uses: `data` fields, `event: error`, llama.cpp's `error` field, and
comments. Lines end in LF, CR LF or CR. Bytes that are not UTF-8 by themselves are kept as
surrogates, since servers split characters between two events (see `character_joiner`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST_EVENT = 1 << 20
BOM = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. `complete` is false for a last one without the blank line that ends it."""

    data: str
    is_error: bool = False
    complete: bool = True


def read_lines(pieces: Iterable[bytes], longest: int) -> Iterator[bytes]:
    """The lines without their ends. Raises ValueError for one of over `longest` bytes."""
    parts: list[bytes] = []
    size = 0
    after_cr = False
    for piece in pieces:
        if after_cr:
            piece = piece.removeprefix(b"\n")
        after_cr = piece.endswith(b"\r")
        first, *others = LINE_END.split(piece)
        parts.append(first)
        size += len(first)
        for other in others:
            check_size(size, longest)
            yield b"".join(parts)
            parts, size = [other], len(other)
        check_size(size, longest)
    if line := b"".join(parts):
        yield line


def read_events(pieces: Iterable[bytes], longest: int = LONGEST_EVENT) -> Iterator[ServerSentEvent]:
    """The events. Raises ValueError for an event of over `longest` bytes."""
    data: list[str] = []
    size, is_error, first = 0, False, True
    for line in read_lines(pieces, longest):
        if first:
            line, first = line.removeprefix(BOM), False
        if not line:
            if data:
                yield ServerSentEvent("\n".join(data), is_error)
            data, size, is_error = [], 0, False
            continue
        name, _, value = line.partition(b":")
        if not name:
            continue  # a comment, which keeps the connection open
        size += len(line) + 1
        check_size(size, longest)
        value = value.removeprefix(b" ")
        is_error = is_error or name == b"error" or (name == b"event" and value == b"error")
        if name in (b"data", b"error"):
            data.append(value.decode("utf-8", "surrogateescape"))
    if data:
        yield ServerSentEvent("\n".join(data), is_error, complete=False)


def check_size(size: int, longest: int) -> None:
    """Raises ValueError if an event is too long."""
    if size > longest:
        raise ValueError(f"an event of over {longest:,} bytes")

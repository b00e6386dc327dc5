"""Server-sent events out of a stream of bytes, by hand and with bounds.

Only what the protocol uses: `data` fields (and llama.cpp's `error`), comments that keep the
connection alive, and lines of any of the usual endings. It works on whole lines of bytes, so a
character torn between two packets is never decoded by halves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

LONGEST_LINE = 1 << 20


class Lines(Protocol):
    """What is read from: an HTTP response, or any file of bytes."""

    def readline(self, limit: int = -1, /) -> bytes:
        """A line with its end, at most `limit` bytes; empty at the end."""


def read_data(stream: Lines, longest: int = LONGEST_LINE) -> Iterator[str]:
    """The data of each event, the last one also where its blank line is missing.

    Raises ValueError for an event that is longer than `longest` bytes.
    """
    parts: list[str] = []
    size = 0
    first = True
    while line := stream.readline(longest + 1):
        size += len(line)
        if size > longest:
            raise ValueError(f"an event of over {longest:,} bytes")
        if first:
            line, first = line.removeprefix(b"\xef\xbb\xbf"), False
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = text.partition(":")
        if name in ("data", "error"):
            parts.append(value.removeprefix(" "))
        elif not name:  # a comment (which has nothing before its colon), or the end of an event
            size = sum(map(len, parts))
        if not text:
            if parts:
                yield "\n".join(parts)
            parts, size = [], 0
    if parts:
        yield "\n".join(parts)

"""Decodes a worker's event stream.

A worker is not trusted: lines may be truncated, huge or invalid. Invalid lines are returned as
`InvalidLine`, never raised.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from schemas.events import Event
from schemas.shared.redact import MARGIN_BYTES, redact_head

MAX_LINE = 16_000_000
READ = 1 << 16
EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line that is not an event: the reason, and its first bytes."""

    reason: str
    sample: str


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """The other end is closed."""


class LineReader:
    """Reads a non-blocking descriptor line by line; memory is bounded by MAX_LINE."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.partial = bytearray()
        self.would_block = False
        self.skipping = False

    def read(self) -> Iterator[bytes | InvalidLine | EndOfStream]:
        """Yield the lines that have arrived, then EndOfStream at the end.

        `would_block` is set when no data was available and the other end is still open.
        """
        self.would_block = False
        try:
            data = os.read(self.descriptor, READ)
        except BlockingIOError:
            self.would_block = True
            return
        except OSError:
            data = b""
        if not data:
            if self.partial:
                yield InvalidLine("torn last line", sample(self.partial))
                self.partial.clear()
            yield EndOfStream()
            return
        *whole, rest = data.split(b"\n")
        for line in whole:
            self.partial += line
            if not self.skipping:
                yield bytes(self.partial)
            self.skipping = False
            self.partial.clear()
        if not self.skipping:
            self.partial += rest
            if len(self.partial) > MAX_LINE:
                yield InvalidLine(f"a line of over {MAX_LINE:,} bytes", sample(self.partial))
                self.skipping = True
                self.partial.clear()


def decode(line: bytes) -> Event | InvalidLine:
    """Return a line as an event, or why it is not one."""
    try:
        data: Any = json.loads(line, parse_int=parse_sqlite_int)
        if b"\\u" in line:  # half a surrogate pair is text that cannot be stored
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return InvalidLine("not JSON", sample(line))
    if not isinstance(data, dict):
        return InvalidLine("not an object", sample(line))
    for name in ("seq", "at_s"):
        data.pop(name, None)
    try:
        return EVENTS.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return InvalidLine(f"no known event: {where}: {first['msg']}", sample(line))


def parse_sqlite_int(digits: str) -> int:
    """Return an integer that SQLite can store. Raises ValueError."""
    number = int(digits)
    if not -(2**63) <= number < 2**63:
        raise ValueError("a number of more than 64 bits")
    return number


def sample(line: bytes | bytearray) -> str:
    """Return the start of a line, redacted, for a log."""
    return redact_head(bytes(line[: 200 + MARGIN_BYTES]), 200, "backslashreplace")

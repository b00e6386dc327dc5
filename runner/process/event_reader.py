"""Turns the bytes of a worker's event stream into events.

The worker's process is not trusted to stay sane: lines may be torn, huge or nonsense, and
whatever is not a valid event is counted and passed on as garbage, never raised.
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
    """A line that is no event: why, and how it began."""

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
        self.dry = False
        self.skipping = False

    def read(self) -> Iterator[bytes | InvalidLine | EndOfStream]:
        """The lines that have arrived, then Closed at the end of the stream.

        `dry` says that nothing had, which is not the end: somebody still holds the other end.
        """
        self.dry = False
        try:
            data = os.read(self.descriptor, READ)
        except BlockingIOError:
            self.dry = True
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
    """A line as the event it says it is."""
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
    """A whole number that SQLite can hold."""
    number = int(digits)
    if not -(2**63) <= number < 2**63:
        raise ValueError("a number of more than 64 bits")
    return number


def sample(line: bytes | bytearray) -> str:
    """How a line began, for a log."""
    return redact_head(bytes(line[: 200 + MARGIN_BYTES]), 200, "backslashreplace")

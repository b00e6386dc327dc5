"""Decodes a worker's event stream.

A worker is not trusted: lines may be truncated, huge or invalid. Invalid lines are returned as
`InvalidLine`, never raised. A number that cannot be stored does not invalidate an answer: where the
figure may be unknown, it is unknown.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from schemas.events import Event
from schemas.shared.counts import read_count
from schemas.shared.redact import MARGIN_BYTES, redact_head

MAX_LINE = 16_000_000
READ = 1 << 16
LIMIT = 2**63  # of whole numbers that SQLite stores
MOST_DIGITS = 20
UNSTORABLE = object()
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


def decode(line: bytes, note: Callable[[str], None] = lambda text: None) -> Event | InvalidLine:
    """Return a line as an event, or why it is not one.

    `note` is called with what became unknown, unless the event has notes itself.
    """
    try:
        data: Any = json.loads(
            line, parse_int=parse_number, parse_float=parse_number, parse_constant=parse_number
        )
        if b"\\u" in line:  # half a surrogate pair is text that cannot be stored
            json.dumps(data, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError):
        return InvalidLine("not JSON", sample(line))
    if not isinstance(data, dict):
        return InvalidLine("not an object", sample(line))
    for name in ("seq", "at_s"):
        data.pop(name, None)
    if unknown := clear_impossible_figures(data):
        text = f"the worker sent no possible number for {', '.join(unknown)}: unknown"
        if isinstance(data.get("notes"), list):
            data["notes"].append(text)
        else:
            note(text)
    try:
        event = EVENTS.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return InvalidLine(f"no known event: {where}: {first['msg']}", sample(line))
    values = (getattr(event, field.name) for field in fields(event))
    if any(isinstance(value, int) and abs(value) >= LIMIT for value in values):  # from a string
        return InvalidLine("a number of more than 64 bits", sample(line))
    return event


def parse_number(digits: str) -> object:
    """Return a number that SQLite can store, else UNSTORABLE, which is valid in no field."""
    if digits.lstrip("-").isdecimal():
        whole = int(digits) if len(digits) <= MOST_DIGITS else LIMIT
        return whole if -LIMIT <= whole < LIMIT else UNSTORABLE
    number = float(digits)
    return number if math.isfinite(number) else UNSTORABLE


def read_figure(value: object) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def optional_figures(event: type) -> dict[str, Callable[[Any], float | None]]:
    """Return the numbers of an event that may be unknown, with the reader of their type."""
    kinds = {name: get_args(hint) for name, hint in get_type_hints(event).items()}
    return {
        field.name: read_count if int in kinds[field.name] else read_figure
        for field in fields(event)
        if kinds[field.name] in ((int, type(None)), (float, type(None))) and field.name != "run"
    }


def clear_impossible_figures(data: dict[str, Any]) -> list[str]:
    """Set optional figures that no figure can be to None; return their names."""
    figures = OPTIONAL.get(str(data.get("event")), {})
    sent = {name: data[name] for name in figures if data.get(name) is not None}
    data |= {name: figures[name](value) for name, value in sent.items()}
    return [name for name in sent if data[name] is None]


OPTIONAL = {fields(kind)[0].default: optional_figures(kind) for kind in get_args(Event)}


def sample(line: bytes | bytearray) -> str:
    """Return the start of a line, redacted, for a log."""
    return redact_head(bytes(line[: 200 + MARGIN_BYTES]), 200, "backslashreplace")

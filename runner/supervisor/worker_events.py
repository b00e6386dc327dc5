"""One worker's events: decoded, with its invalid lines noted and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.events import Event

from ..process.event_reader import EndOfStream, InvalidLine, LineReader, decode
from ..system.log import get_logger

INVALID_LINES_LIMIT = 1000
NOTED_INVALID_LINES = 3

log = get_logger(__name__)


class WorkerEvents:
    """The event stream of worker `number`; the first invalid lines are added to `notes`.

    `on_limit` is called once with a message, after INVALID_LINES_LIMIT invalid lines.
    """

    def __init__(
        self, descriptor: int, number: int, notes: list[str], on_limit: Callable[[str], None]
    ) -> None:
        self.lines = LineReader(descriptor)
        self.number, self.notes, self.on_limit = number, notes, on_limit
        self.invalid_lines = 0

    @property
    def would_block(self) -> bool:
        """Whether the last read found no data, and the other end is still open."""
        return self.lines.would_block

    def read(self) -> Iterator[Event | EndOfStream]:
        """Yield the events that have arrived, then EndOfStream at the end."""
        for line in self.lines.read():
            if isinstance(line, EndOfStream):
                yield line
                return
            event = line if isinstance(line, InvalidLine) else decode(line, self.note_once)
            if isinstance(event, InvalidLine):
                self.on_invalid_line(event)
            else:
                yield event

    def note_once(self, text: str) -> None:
        """Record a note about the worker, once."""
        if text not in self.notes:
            self.notes.append(text)

    def on_invalid_line(self, line: InvalidLine) -> None:
        """Record an invalid line, or an event that is not valid now."""
        log.debug("worker %d: invalid line: %s: %s", self.number, line.reason, line.sample)
        self.invalid_lines += 1
        if self.invalid_lines <= NOTED_INVALID_LINES:
            self.notes.append(f"event stream: {line.reason}: {line.sample}")
        if self.invalid_lines == INVALID_LINES_LIMIT:
            self.on_limit(f"{INVALID_LINES_LIMIT} invalid event lines, the last: {line.reason}")

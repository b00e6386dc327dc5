"""Event sinks: JSON lines or a view; a closed output never stops the sweep.

A reader that goes away (`| head`, a closed terminal) must not stop a night's work. What the
events are is said by `schemas.stream`; how a terminal draws them by `runner.view.live`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TextIO

from ..system.timestamps import utc_now
from .formats import as_json

if TYPE_CHECKING:
    from schemas.stream import StreamEvent

Mode = Literal["json", "quiet", "live", "lines", "still"]


class JsonLinesSink:
    """Writes each event as an object on a line of its own, at once."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, event: StreamEvent | dict[str, Any]) -> None:
        """One event with its time; `event` and `at` come first."""
        row = event if isinstance(event, dict) else asdict(event)
        at = utc_now()
        self.stream.write(as_json({"event": row["event"], "at": at, **row}) + "\n")
        self.stream.flush()


class BrokenPipeGuard:
    """Forward events until the reader is gone; then report it once and discard the rest."""

    def __init__(self, emit: Callable[[Any], None], stream: TextIO, notes: TextIO) -> None:
        self.emit, self.stream, self.notes = emit, stream, notes
        self.broken = False

    def __call__(self, event: Any) -> None:
        """One event. A stream that fails ends the telling, not the sweep."""
        if self.broken:
            return
        try:
            self.emit(event)
        except OSError as error:
            self.broken = True
            discard_output(self.stream)
            with suppress(OSError, ValueError):
                reason = error.strerror or str(error)
                print(f"Note: output ended ({reason}); the sweep goes on.", file=self.notes)


def discard_output(stream: TextIO) -> None:
    """Discard output that is flushed at exit, to avoid a second error."""
    with suppress(OSError, ValueError):
        if stream is sys.stdout:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def choose_mode(out: TextIO, *, json: bool, quiet: bool) -> Mode:
    """The output mode of a stream: the requested one, or the best the stream supports."""
    if json:
        return "json"
    if quiet:
        return "quiet"
    return "live" if out.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "lines"


@contextmanager
def open_sink(how: Mode, out: TextIO, notes: TextIO) -> Iterator[BrokenPipeGuard]:
    """Open a guarded event sink; a live view is removed from the screen at the end.

    A still one is drawn at the end, once, and stays.
    """
    if how == "still":
        from .live import LiveView

        view = LiveView(out)
        yield BrokenPipeGuard(view.take, out, notes)
        view.draw_once()
    elif how == "live":
        from .live import LiveView

        view = LiveView(out)
        view.start()
        try:
            yield BrokenPipeGuard(view, out, notes)
        finally:
            with suppress(OSError):
                view.stop()
    elif how == "lines":
        from .log_lines import LineLogger

        yield BrokenPipeGuard(LineLogger(out), out, notes)
    else:
        yield BrokenPipeGuard(JsonLinesSink(out) if how == "json" else lambda _: None, out, notes)

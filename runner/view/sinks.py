"""Event sinks: JSON lines or a view; an output that is closed or not read never stops a sweep.

A reader that goes away (`| head`, a closed terminal) or stops reading (Ctrl-S, a full pipe) must
not stop a sweep: a thread writes (`runner.view.background_writer`). A view leaves out what
a terminal does not take; a program that does not read JSON lines is disconnected, with a note.
The events are defined in `schemas.stream`; `runner.view.live` draws them on a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, Literal, TextIO, cast

from schemas import stream

from ..system.timestamps import utc_now
from .background_writer import BackgroundWriter, is_behind, try_write
from .formats import as_json

END_STALLED_S = 10.0

Mode = Literal["json", "quiet", "live", "lines", "still"]


class JsonLinesSink:
    """Writes each event as an object on a line of its own, at once.

    Raises OSError once the reader is gone, or is too far behind.
    """

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def __call__(self, event: stream.StreamEvent | dict[str, Any]) -> None:
        """One event with its time; `event` and `at` come first."""
        row = event if isinstance(event, dict) else asdict(event)
        if is_behind(self.out):
            raise TimeoutError(None, "it is not being read")
        at = utc_now()
        self.out.write(as_json({"event": row["event"], "at": at, **row}) + "\n")
        self.out.flush()


class BrokenPipeGuard:
    """Forward events until the reader is gone; then report it once and discard the rest."""

    def __init__(
        self, emit: Callable[[Any], None], out: TextIO, notes: TextIO, writer: TextIO
    ) -> None:
        self.emit, self.out, self.notes, self.writer = emit, out, notes, writer
        self.broken = False
        self.interrupted = False

    @property
    def reader_is_gone(self) -> bool:
        """Whether the output has ended; a thread may know it before the next event."""
        failed = isinstance(self.writer, BackgroundWriter) and self.writer.error is not None
        return self.broken or failed

    def __call__(self, event: Any) -> None:
        """One event. A stream that fails ends the output, not the sweep."""
        if isinstance(event, stream.Interrupting):
            self.interrupted = True
        if self.broken:
            return
        try:
            self.emit(event)
        except OSError as error:
            self.end(error)

    def end(self, error: OSError) -> None:
        """Discard further output, and report it on the other stream."""
        self.broken = True
        discard_output(self.out)
        reason = error.strerror or str(error)
        try_write(self.notes, f"Note: output ended ({reason}); the sweep goes on.\n")


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
    writer = in_background(out)
    guard: BrokenPipeGuard | None = None
    try:
        with open_view(how, writer) as emit:
            guard = BrokenPipeGuard(emit, out, notes, writer)
            yield guard
    finally:
        if isinstance(writer, BackgroundWriter) and guard is not None:
            end_output(writer, guard)


def in_background(out: TextIO) -> TextIO:
    """The stream, written by a thread; unchanged if no file is behind it."""
    try:
        return cast("TextIO", BackgroundWriter(out))
    except (OSError, ValueError):
        return out


def end_output(writer: BackgroundWriter, guard: BrokenPipeGuard) -> None:
    """Write what is queued. A terminal that does not read is waited for, unless interrupted."""
    wait = writer.isatty() and not guard.interrupted
    if guard.broken or writer.close_within(None if wait else END_STALLED_S):
        return
    guard.end(writer.error or TimeoutError(None, "it is not being read"))


@contextmanager
def open_view(how: Mode, out: TextIO) -> Iterator[Callable[[Any], None]]:
    """Open the sink of an output mode."""
    if how in ("still", "live"):
        from .live import LiveView

        view = LiveView(out)
        if how == "still":
            yield view.take
            view.draw_once()
            return
        view.start()
        try:
            yield view
        finally:
            with suppress(OSError):
                view.stop()
    elif how == "lines":
        from .log_lines import LineLogger

        yield LineLogger(out)
    else:
        yield JsonLinesSink(out) if how == "json" else lambda _: None

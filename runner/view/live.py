"""The live view on a terminal: when it is drawn, and what stays on the screen above it.

Drawn from the thread that tells the events, whenever one arrives and the last drawing is old
enough: no thread of rich's. What is drawn is `runner.view.live_layout`, what is known is kept by
`runner.view.progress`; pipes and logs get `runner.view.log_lines`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from schemas import stream

from ..text.sanitize import one_line
from .live_layout import cut, render_live
from .log_lines import EventCounter, format_event
from .progress import Progress

REDRAW_EVERY_S = 1 / 8
# Rare events after which nothing may come for long: drawn at once.
TURNS = (
    stream.SweepStarted,
    stream.WorkerStarted,
    stream.WorkerLoaded,
    stream.SweepFinished,
    stream.WatchIdle,
)


class LiveView:
    """Draws sweeps while they run, between `start` and `stop`."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = Console(file=out, highlight=False, markup=False, emoji=False)
        self.clock = clock
        self.progress = Progress()
        self.counter = EventCounter()
        self.drawn_at = float("-inf")
        self.live = Live(
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Takes the screen's lower part."""
        self.live.start()

    def stop(self) -> None:
        """Gives it back, cursor and all."""
        self.live.stop()

    def __call__(self, event: stream.StreamEvent) -> None:
        """One event: taken in always, drawn if the last drawing is old enough."""
        self.take(event)
        now = self.clock()
        if style := permanent_line_style(event):
            line = one_line(format_event(event, self.counter) or "")
            self.console.print(cut(Text(line, style=style), self.console.width))
        if now - self.drawn_at >= REDRAW_EVERY_S or isinstance(event, TURNS):
            self.drawn_at = now
            self.live.update(self.view(now), refresh=True)

    def take(self, event: stream.StreamEvent) -> None:
        """Takes one event in without drawing."""
        self.counter.take(event)
        self.progress.take(event, self.clock())

    def draw_once(self) -> None:
        """Writes the view as it is, to stay."""
        self.console.print(self.view(self.clock()))

    def view(self, now: float) -> Group:
        """The whole view, as high as the terminal allows."""
        return Group(*render_live(self.progress, now, *self.console.size))


def permanent_line_style(event: stream.StreamEvent) -> str | None:
    """The style of what stays on the screen above the view: failures, kills and ends."""
    match event:
        case stream.ImagePrepared():
            return "red" if event.message is not None else None
        case stream.RunFinished(phase="prepare"):  # its image was told of once, above
            return None
        case stream.RunFinished():
            return "red" if event.outcome not in ("ok", "skipped") else None
        case stream.PreflightFinding():
            return "red" if event.severity == "problem" else "yellow"
        case stream.ModelFetched():
            return "red" if event.message is not None else None
        case stream.WorkerKilled() | stream.Quarantined() | stream.Interrupting():
            return "red"
        case (
            stream.Recovered()
            | stream.FallingBack()
            | stream.DeadlineReached()
            | stream.JobsCancelled()
        ):
            return "yellow"
        case stream.SleepInhibited():
            return None if event.ok else "yellow"
        case stream.NotifyFailed():
            return "yellow"
        case stream.SweepFinished():
            return "bold"
    return None

"""The live view on a terminal: when it is redrawn, and which lines stay above it.

It is drawn in the thread that emits events, when an event arrives and the last drawing is at least
`REDRAW_EVERY_S` old; rich's own thread is not used. `runner.view.live_layout` makes the lines,
`runner.view.progress` holds the state; pipes and logs get `runner.view.log_lines`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from schemas import stream

from ..text.sanitize import one_line
from .background_writer import is_behind
from .live_layout import cut, render_live
from .log_lines import EventCounter, format_event
from .progress import Progress

REDRAW_EVERY_S = 1 / 8
BEHIND_BYTES = 65_536  # more than a pipe or terminal takes at once: it is not read
LINES_KEPT = 1000


class LiveView:
    """An event sink that draws running sweeps, between `start` and `stop`."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = Console(file=out, highlight=False, markup=False, emoji=False)
        self.clock = clock
        self.progress = Progress()
        self.counter = EventCounter()
        self.drawn_at = float("-inf")
        self.lines: deque[Text] = deque(maxlen=LINES_KEPT)
        self.live = Live(
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Start drawing at the bottom of the screen."""
        self.live.start()

    def stop(self) -> None:
        """Erase the view and restore the cursor."""
        self.live.stop()

    def __call__(self, event: stream.StreamEvent) -> None:
        """Take in an event, print its line if it stays on screen, and redraw if it is time to.

        While the terminal does not read, lines wait, the last LINES_KEPT of them, and the view is
        not drawn.
        """
        self.take(event)
        now = self.clock()
        if style := event.style:
            line = one_line(format_event(event, self.counter) or "")
            self.lines.append(Text(line, style=style))
        if is_behind(self.console.file, BEHIND_BYTES):
            return
        while self.lines:
            self.console.print(cut(self.lines.popleft(), self.console.width))
        if now - self.drawn_at >= REDRAW_EVERY_S or event.redraw:
            self.drawn_at = now
            self.live.update(self.view(now), refresh=True)

    def take(self, event: stream.StreamEvent) -> None:
        """Take in an event without drawing."""
        self.counter.take(event)
        self.progress.take(event, self.clock())

    def draw_once(self) -> None:
        """Print the view as it is now; it stays on screen."""
        self.console.print(self.view(self.clock()))

    def view(self, now: float) -> Group:
        """Return the view, at most as high as the terminal."""
        return Group(*render_live(self.progress, now, *self.console.size))

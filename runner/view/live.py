"""The live view of a sweep on a terminal: a line per model, the run in hand, and the whole.

Drawn from the supervisor's own thread, whenever an event arrives and the last drawing is old
enough: no thread of rich's. What is known is kept by `runner.view.progress`; pipes and logs get
`runner.view.linewise`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from schemas import stream

from ..plain import one_line
from . import units
from .linewise import HOUR_CAME, finished, interrupting, recovered
from .progress import ModelProgress, Progress
from .tables import ellipsis, middle

REDRAW_EVERY_S = 1 / 8
BAR = 12
TEXT_LINES = 2
# Rare events after which nothing may come for long: drawn at once.
TURNS = (stream.SweepStarted, stream.WorkerStarted, stream.WorkerLoaded, stream.SweepFinished)
STATE_STYLES = {
    "waiting": "dim",
    "downloading": "cyan",
    "loading": "cyan",
    "running": "bold",
    "killing": "yellow",
    "done": "green",
    "failed": "red",
}


class LiveView:
    """Draws a sweep while it runs, between `start` and `stop`."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = Console(file=out, highlight=False, markup=False, emoji=False)
        self.clock = clock
        self.progress = Progress()
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
        now = self.clock()
        self.progress.take(event, now)
        if line := lasting(event):
            self.console.print(cut(Text(line, style="red"), self.console.width))
        if now - self.drawn_at >= REDRAW_EVERY_S or isinstance(event, TURNS):
            self.drawn_at = now
            self.live.update(self.view(now), refresh=True)

    def view(self, now: float) -> Group:
        """The whole view, as high as the terminal allows."""
        width, height = self.console.size
        lines = [*self.head(now, width)]
        room = height - len(lines) - TEXT_LINES - 4
        lines += self.models(now, width, max(1, room))
        lines += self.current(now, width)
        return Group(*lines)

    def head(self, now: float, width: int) -> list[Text]:
        """Overall progress, or that of the pictures before it."""
        progress = self.progress
        done, total = progress.pictures
        if progress.began is None and progress.environment:
            return [cut(Text(one_line(progress.environment)), width)]
        if progress.began is None:
            return [Text(f"Preparing pictures {done}/{total}" if total else "Starting")]
        line = Text("Sweep  ", style="bold")
        line.append_text(bar(progress.done, progress.total, 2 * BAR))
        line.append(f"  {progress.done}/{progress.total} jobs", style="bold")
        line.append(f"  {units.clock(now - progress.began)} gone")
        if (left := progress.left(now)) is not None and not progress.finished:
            line.append(f", about {units.clock(left)} left")
        return [cut(line, width), Text("")]

    def models(self, now: float, width: int, room: int) -> list[Text]:
        """A line per model; those done or waiting are counted where there is no room."""
        models = list(self.progress.models.values())
        chosen = window(models, room)
        figures = [(model, columns(model, now)) for model in chosen]
        states = max((len(c[0]) for _, c in figures), default=0)
        counts = max((len(c[1]) for _, c in figures), default=0)
        rests = max((len(c[2]) for _, c in figures), default=0)
        size = BAR if width >= 100 else BAR // 2
        names = max((cell_len(one_line(m.name)) for m in chosen), default=0)
        names = max(12, min(names, width - states - counts - size - rests - 7))
        lines = []
        for model, (state, count, rest) in figures:
            line = Text(set_cell_size(middle(one_line(model.name), names), names) + "  ")
            line.append(state.ljust(states) + "  ", style=STATE_STYLES.get(model.state, ""))
            line.append(count.rjust(counts) + " ")
            line.append_text(bar(model.done, model.total, size))
            line.append("  " + rest)
            lines.append(cut(line, width))
        if hidden := len(models) - len(chosen):
            lines.append(Text(f"and {hidden} more models", style="dim"))
        return lines

    def current(self, now: float, width: int) -> list[Text]:
        """The run in hand and the end of what it has said."""
        run = self.progress.run
        if run is None:
            return []
        asked = " · ".join(one_line(part) for part in (run.image, run.prompt) if part)
        title = Text("▸ ", style="cyan")
        title.append(ellipsis(asked, max(10, width - 12)))
        title.append(f"  {units.clock(now - run.began)}", style="dim")
        said = wrapped(one_line(run.text), max(2, width - 4))[-TEXT_LINES:]
        said += [""] * (TEXT_LINES - len(said))
        return [Text(""), cut(title, width), *(Text("  " + line, style="italic") for line in said)]


def lasting(event: stream.StreamEvent) -> str | None:
    """What stays on the screen above the view: failures and kills."""
    match event:
        case stream.WorkerKilled():
            return one_line(f"{event.model}: worker {event.worker} killed: {event.message}")
        case stream.ImagePrepared() if event.message is not None:
            return one_line(f"picture {event.path}: {event.message}")
        case stream.Recovered():
            return recovered(event)
        case stream.FallingBack():
            return one_line(f"{event.model}: {event.jobs} jobs go on with {event.to}")
        case stream.Interrupting():
            return interrupting(event)
        case stream.HourCame():
            return HOUR_CAME
        case stream.RunFinished(phase="prepare"):  # its picture was told of once, above
            return None
        case stream.RunFinished() if event.outcome not in ("ok", "skipped"):
            return one_line(f"{event.model}: {finished(event)}")
    return None


def columns(model: ModelProgress, now: float) -> tuple[str, str, str]:
    """A model's state, count, and time and memory, in words."""
    state = f"{model.state} {model.detail}".strip()
    rest = []
    left = model.left(now)
    if left is not None and model.done < model.total:
        rest.append(f"{units.clock(left)} left")
    elif model.state in ("loading", "downloading") and model.began is not None:
        rest.append(units.clock(now - model.began))
    if model.rss is not None:
        rest.append(units.size(model.rss))
    if model.peak is not None:
        rest.append(f"peak {units.size(model.peak)}")
    if model.device is not None:
        rest.append(f"{units.size(model.device)} on device")
    return state, f"{model.done}/{model.total}", ", ".join(rest)


def window(models: Sequence[ModelProgress], room: int) -> list[ModelProgress]:
    """The models there is room for: those at work or just done first, in the sweep's order."""
    if len(models) <= room:
        return list(models)
    working = next((i for i, m in enumerate(models) if m.done < m.total), len(models) - 1)
    size = max(1, room - 1)
    first = max(0, min(working - 1, len(models) - size))
    return list(models[first : first + size])


def bar(done: int, total: int, width: int) -> Text:
    """A bar, of characters that every terminal has."""
    full = width * done // total if total else 0
    return Text.assemble(("━" * full, "green"), ("─" * (width - full), "dim"))


def cut(line: Text, width: int) -> Text:
    """One line that never wraps."""
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def wrapped(text: str, width: int) -> list[str]:
    """Text broken into lines of at most `width` cells, between words where it can be."""
    lines, line = [], ""
    for word in text.split():
        while cell_len(word) > width:
            if line:
                lines.append(line)
                line = ""
            head = set_cell_size(word, width).rstrip() or word[0]
            lines.append(head)
            word = word[len(head) :]
        if line and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines

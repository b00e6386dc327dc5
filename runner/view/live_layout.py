"""The lines of the live view: sweeps, models and current runs, fitted to the screen.

It draws what `runner.view.progress` knows and keeps nothing; `runner.view.live` decides when
to draw.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ..text import units
from ..text.sanitize import one_line
from .model_progress import ModelProgress
from .progress import CurrentRun, Progress, SweepProgress
from .table_renderer import ellipsis, truncate_middle

BAR = 12
TEXT_LINES = 2
TITLE = 28
STATE_STYLES = {
    "waiting": "dim",
    "downloading": "cyan",
    "loading": "cyan",
    "running": "bold",
    "killing": "yellow",
    "done": "green",
    "failed": "red",
}


def render_live(progress: Progress, now: float, width: int, height: int) -> list[Text]:
    """The whole image, as high as the terminal allows."""
    if progress.idle is not None:
        return [Text(line) for line in wrapped(one_line(progress.idle), max(2, width))]
    sweeps = list(progress.sweeps.values())
    if not sweeps and progress.environment:
        return [cut(Text(one_line(progress.environment)), width)]
    if not sweeps:
        done, total = progress.images
        return [Text(f"Preparing images {done}/{total}" if total else "Starting")]
    runs = list(progress.runs.values())
    below = current(runs, now, width, max(3, height // 3))
    room = max(1, (height - 2 - len(below)) // len(sweeps) - 3)
    lines: list[Text] = []
    for sweep in sweeps:
        lines += [*([Text("")] if lines else []), sweep_header(sweep, now, width), Text("")]
        lines += model_lines(list(sweep.models.values()), now, width, room)
    return lines + below


def sweep_header(sweep: SweepProgress, now: float, width: int) -> Text:
    """A sweep's overall progress."""
    line = Text(ellipsis(one_line(sweep.title), min(TITLE, max(4, width // 4))), style="bold")
    line.append("  ")
    line.append_text(bar(sweep.done, sweep.total, 2 * BAR))
    line.append(f"  {sweep.done}/{sweep.total} {sweep.counts}", style="bold")
    line.append(f"  {units.clock(now - sweep.began)} gone")
    if (left := sweep.left(now)) is not None and not sweep.finished:
        line.append(f", about {units.clock(left)} left")
    return cut(line, width)


def model_lines(known: Sequence[ModelProgress], now: float, width: int, room: int) -> list[Text]:
    """A line per model; finished or waiting models are only counted if there is no room."""
    chosen = visible_models(known, room)
    figures = [(model, model_columns(model, now)) for model in chosen]
    states = max((len(c[0]) for _, c in figures), default=0)
    counts = max((len(c[1]) for _, c in figures), default=0)
    rests = max((len(c[2]) for _, c in figures), default=0)
    size = BAR if width >= 100 else BAR // 2
    names = max((cell_len(one_line(m.name)) for m in chosen), default=0)
    names = max(12, min(names, width - states - counts - size - rests - 7))
    lines = []
    for model, (state, count, rest) in figures:
        line = Text(set_cell_size(truncate_middle(one_line(model.name), names), names) + "  ")
        line.append(state.ljust(states) + "  ", style=STATE_STYLES.get(model.state, ""))
        line.append(count.rjust(counts) + " ")
        line.append_text(bar(model.done, model.total, size))
        line.append("  " + rest)
        lines.append(cut(line, width))
    if hidden := len(known) - len(chosen):
        lines.append(Text(f"and {hidden} more models", style="dim"))
    return lines


def current(runs: Sequence[CurrentRun], now: float, width: int, room: int) -> list[Text]:
    """The current runs, each with the end of its text; with several runs also the model."""
    several = len(runs) > 1
    each = 1 if several else TEXT_LINES
    chosen = runs[: max(1, (room - 1) // (1 + each))]
    lines = [Text("")] if runs else []
    for run in chosen:
        asked = [one_line(part) for part in (run.image, run.prompt) if part]
        whose = [truncate_middle(one_line(run.model), max(8, width // 3))] if several else []
        title = Text("▸ ", style="cyan")
        title.append(ellipsis(" · ".join([*whose, *asked]), max(10, width - 12)))
        title.append(f"  {units.clock(now - run.began)}", style="dim")
        tail = wrapped(one_line(run.text), max(2, width - 4))[-each:]
        tail += [""] * (each - len(tail))
        lines += [cut(title, width), *(Text("  " + line, style="italic") for line in tail)]
    if hidden := len(runs) - len(chosen):
        lines.append(Text(f"and {hidden} more runs", style="dim"))
    return lines


def model_columns(model: ModelProgress, now: float) -> tuple[str, str, str]:
    """A model's state, job count, time and memory as text."""
    state = f"{model.state} {model.detail}".strip()
    rest = []
    left = model.left(now)
    if left is not None and model.done < model.total:
        rest.append(f"{units.clock(left)} left")
    elif model.state in ("loading", "downloading") and model.began is not None:
        rest.append(units.clock(now - model.began))
    if len(model.workers) > 1:
        rest.append(f"{len(model.workers)} workers")
    if model.rss is not None:
        rest.append(units.size(model.rss))
    if model.peak is not None:
        rest.append(f"peak {units.size(model.peak)}")
    if model.device is not None:
        rest.append(f"{units.size(model.device)} on device")
    return state, f"{model.done}/{model.total}", ", ".join(rest)


def visible_models(models: Sequence[ModelProgress], room: int) -> list[ModelProgress]:
    """The models there is room for: those at work or just done first, in the sweep's order."""
    if len(models) <= room:
        return list(models)
    working = next((i for i, m in enumerate(models) if m.done < m.total), len(models) - 1)
    size = max(1, room - 1)
    first = max(0, min(working - 1, len(models) - size))
    return list(models[first : first + size])


def bar(done: int, total: int, width: int) -> Text:
    """A bar, of characters that every terminal has."""
    full = min(width, width * done // total) if total else 0
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

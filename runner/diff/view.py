"""Draws a comparison on a terminal: the models' table, failures, changes, regressions.

On a terminal changed texts are shown side by side, their words in colour; otherwise, and without
colour, as one text with {-deletions-}{+insertions+}. All text goes through `runner.text.sanitize`.
Words for figures here serve `runner.diff.markdown_view` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..text import units
from ..text.sanitize import one_line
from ..view.grid import Column, Grid, grid, kind_of
from ..view.table_renderer import console, draw_grid
from . import score_view, text_diff

if TYPE_CHECKING:
    from .comparison import Comparison
    from .config_changes import ConfigChange
    from .model_comparison import ModelComparison
    from .pairing import Change, JobPair
    from .ratios import Ratio
    from .regression import Regression
    from .side import Record

NARROW = 60  # columns below which texts stand one below the other
OLD, NEW = "red", "green"
SPREAD = len("10.03 (10.98–11.10)")
FIGURES = {
    "load_s": "Load time",
    "latency_s": "Time",
    "generation_tps": "tokens/s",
    "peak_rss_bytes": "Memory",
    "peak_device_bytes": "Device memory",
}
LEFT: dict[Change, str] = {
    "only_a": "only in A",
    "only_b": "only in B",
    "not_run": "not run to an end on both sides",
    "same_run": "not run again: both sides show the same run",
}


def comparison_table(found: Comparison) -> Grid:
    """A row per model: its jobs by change, and its ratios B/A."""
    columns = [Column("model", "Model", least=12, middle=True), Column("jobs", "Jobs", "number")]
    columns += [
        Column("same", "Same text", "number"),
        Column("text", "Changed", "number"),
        Column("new_failure", "New failures", "number"),
        Column("fixed", "Fixed", "number"),
        Column("failure", "Still failing", "number", optional=True),
    ]
    for key, title in FIGURES.items():
        optional = key == "peak_device_bytes"
        columns.append(Column(key, f"{title} B/A", least=SPREAD, optional=optional, below=True))
    return grid([as_row(model) for model in found.models], columns)


def as_row(model: ModelComparison) -> dict[str, Any]:
    """A model's cells as text; figures of a model that is on one side only stay empty."""
    if model.sides != "both":
        return {"model": f"{model.name} (only in {model.sides.upper()})"}
    counts = model.counts
    row: dict[str, Any] = {"model": model.name, "jobs": sum(counts.values())}
    row["jobs"] -= counts["only_a"] + counts["only_b"]
    row |= {key: counts[key] for key in ("same", "text", "new_failure", "fixed")}
    row["failure"] = counts["failure"] or None
    return row | {key: format_ratio(model.ratios[key]) for key in FIGURES}


def format_ratio(ratio: Ratio) -> str | None:
    """`1.03 (0.98–1.10)`, or `1.03` without an interval."""
    if ratio.ratio is None:
        return None
    spread = "" if ratio.low is None else f" ({ratio.low:.2f}–{ratio.high:.2f})"
    return f"{ratio.ratio:.2f}{spread}"


def job_label(found: Comparison, pair: JobPair) -> str:
    """A job as text: model, image, prompt and repeat."""
    row = found.row(pair)
    repeat = f"repeat {row['repeat']}" if row["repeat"] > 1 else None
    return one_line(" · ".join(filter(None, (row["model"], row["image"], row["prompt"], repeat))))


def failure_text(job: Record | None) -> str:
    """A failure as text."""
    assert job
    return one_line(": ".join(filter(None, (job["outcome"].replace("_", " "), job["message"]))))


def value(what: str, of: Any) -> str:
    """A setting or version as text."""
    if of is None:
        return "none"
    kind = kind_of(what)
    if kind == "bytes" and isinstance(of, int | float):
        return units.size(of)
    return one_line(str(of))


def reason(one: Regression) -> str:
    """A regression as text."""
    if one.kind == "new_failures":
        return f"{one.model}: {units.pluralize(one.count or 0, 'new failure')}"
    if one.kind == "lower_score":
        return score_view.reason(one)
    if one.kind == "texts":
        return f"{one.model}: {units.pluralize(one.count or 0, 'changed text')}"
    of = {"latency_s": "time", "peak_rss_bytes": "memory"}.get(one.figure or "", "device memory")
    spread = f"({one.low:.2f}–{one.high:.2f})"
    return f"{one.model}: {one.ratio:.2f} times the {of} {spread}, limit {one.limit:g}"


def not_compared_lines(found: Comparison) -> Iterator[str]:
    """Jobs that could not be compared, counted."""
    for change, label in LEFT.items():
        if count := sum(model.counts[change] for model in found.models):
            yield f"{units.pluralize(count, 'job')} {label}"


def write_comparison(found: Comparison, stream: TextIO, limit: int) -> None:
    """All of it; of jobs at most `limit` a kind, 0 for all."""
    out = console(stream)
    for name, side in (("A", found.a), ("B", found.b)):
        title = one_line(side.choice.title)
        head = Text.assemble((name, "bold"), f"  {title}, {units.pluralize(len(side.jobs), 'job')}")
        out.print(head, soft_wrap=True)
    out.print()
    draw_grid(comparison_table(found), stream)
    write_scores(found, out, stream)
    failed, fixed = found.pairs_with("new_failure"), found.pairs_with("fixed")
    jobs(found, out, "New failures", failed, limit, lambda pair: failure_text(pair.b))
    jobs(found, out, "Fixed", fixed, limit, lambda pair: f"was {failure_text(pair.a)}")
    texts(found, out, limit)
    differences(out, "Settings", found.settings, len(found.models))
    differences(out, "Libraries and machine", found.environment, len(found.models))
    if rest := list(not_compared_lines(found)):
        heading(out, "Not compared")
        for line in rest:
            out.print(Text(f"  {line}"), soft_wrap=True)
    out.print()
    verdict(found, out)


def verdict(found: Comparison, out: Console) -> None:
    """The last lines: whether it is a regression, and why."""
    if not found.reasons:
        out.print(Text("No regression", style="bold green"))
        return
    out.print(Text("Regression", style="bold red"))
    for one in found.reasons:
        out.print(Text(f"  {one_line(reason(one))}"), soft_wrap=True)


def write_scores(found: Comparison, out: Console, stream: TextIO) -> None:
    """The scores' table."""
    if not any(model.scores for model in found.models):
        return
    heading(out, "Scores")
    draw_grid(score_view.score_grid(found.models), stream)
    for line in score_view.note(found.models):
        out.print(Text(line, style="dim"), soft_wrap=True)


def heading(out: Console, title: str) -> None:
    """A section's title."""
    out.print()
    out.print(Text(title, style="bold"))


def limit_pairs(pairs: Sequence[JobPair], limit: int) -> Sequence[JobPair]:
    """The first of them."""
    return pairs[:limit] if limit else pairs


def print_remaining(out: Console, pairs: Sequence[JobPair], limit: int) -> None:
    """Prints the number of pairs that are not shown."""
    if limit and len(pairs) > limit:
        out.print(Text(f"  and {len(pairs) - limit} more (--limit 0 shows all)"))


def jobs(
    found: Comparison,
    out: Console,
    title: str,
    pairs: Sequence[JobPair],
    limit: int,
    emit: Callable[[JobPair], str],
) -> None:
    """A line for each job that failed or no longer does."""
    if not pairs:
        return
    heading(out, f"{title} ({len(pairs)})")
    for pair in limit_pairs(pairs, limit):
        out.print(Text(f"  {job_label(found, pair)}: {emit(pair)}"), soft_wrap=not out.is_terminal)
    print_remaining(out, pairs, limit)


def texts(found: Comparison, out: Console, limit: int) -> None:
    """Changed texts, side by side or marked."""
    pairs = found.pairs_with("text")
    if not pairs:
        return
    heading(out, f"Changed texts ({len(pairs)})")
    two_columns = out.is_terminal and not out.no_color and out.width >= NARROW
    for pair in limit_pairs(pairs, limit):
        out.print(Text(f"  {job_label(found, pair)}", style="dim"), soft_wrap=not out.is_terminal)
        seen = changed(pair)
        if two_columns:
            out.print(side_by_side(seen, out.width))
        else:
            out.print(
                Text(f"    {text_diff.format_inline_diff(seen)}"), soft_wrap=not out.is_terminal
            )
    print_remaining(out, pairs, limit)


def changed(pair: JobPair) -> list[text_diff.DiffSegment]:
    """The pieces of a pair's texts, harmless to a terminal."""
    assert pair.a
    assert pair.b
    old, new = one_line(pair.a["text"] or ""), one_line(pair.b["text"] or "")
    return list(text_diff.elide_unchanged(text_diff.diff_segments(old, new)))


def side_by_side(seen: Sequence[text_diff.DiffSegment], width: int) -> Table:
    """A's text left, B's right, changed words in colour."""
    drawn = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    half = (width - 6) // 2
    drawn.add_column(width=2)
    drawn.add_column(width=half, overflow="fold")
    drawn.add_column(width=half, overflow="fold")
    left, right = Text(), Text()
    for one in seen:
        left.append(one.old, style="" if one.same else OLD)
        right.append(one.new, style="" if one.same else NEW)
    drawn.add_row("", left, right)
    return drawn


def differences(out: Console, title: str, found: Sequence[ConfigChange], models: int) -> None:
    """Prints configuration changes, and the models concerned unless it is all of them."""
    if not found:
        return
    heading(out, title)
    for one in found:
        line = f"  {one_line(one.what)}  {value(one.what, one.a)} → {value(one.what, one.b)}"
        whose = f"  ({one_line(', '.join(one.models))})" if models > 1 or is_own(one) else ""
        out.print(Text(line + whose), soft_wrap=not out.is_terminal)


def is_own(one: ConfigChange) -> bool:
    """Whether it is a change of vlmsweep's own environment alone."""
    from .config_changes import SUPERVISOR

    return one.models == [SUPERVISOR]

"""Draws what preflight found for people: the worst first, in full, wrapped. A line each in logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..text import units
from ..text.sanitize import one_line
from ..view.table_renderer import print_on
from .finding import Finding
from .run import PreflightReport

STYLES = {"problem": "bold red", "warning": "yellow", "note": "dim"}
SAME = 5  # of one severity and kind, then the others are counted


def draw(seen: PreflightReport, stream: TextIO) -> None:
    """All of it, and what the sweep will take."""
    print_on(stream, partial(render, seen))


def render(seen: PreflightReport, out: Console) -> None:
    """A line per finding: how bad, what about, and what to do."""
    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(width=len("problem"), no_wrap=True)
    drawn.add_column(overflow="fold")
    for found, more in shortened(seen.findings):
        text = Text(one_line(found.where), style="bold")
        text.append(f": {one_line(found.message)}", style="not bold")
        if found.hint:
            text.append(f"\n→ {one_line(found.hint)}", style="not bold")
        if more:
            text.append(f"\nand {more} more of the kind", style="dim")
        drawn.add_row(Text(found.severity, style=STYLES[found.severity]), text)
    if seen.findings:
        out.print(drawn)
        out.print()
    out.print(Text(total(seen), style="bold"))


def shortened(findings: Sequence[Finding]) -> list[tuple[Finding, int]]:
    """The findings, those of one kind only SAME times; the last with how many were left out."""
    count = Counter((found.severity, found.about) for found in findings)
    said: Counter[tuple[str, str]] = Counter()
    out = []
    for found in findings:
        kind = (found.severity, found.about)
        said[kind] += 1
        if said[kind] <= SAME:
            out.append((found, count[kind] - SAME if said[kind] == SAME else 0))
    return out


def total(seen: PreflightReport) -> str:
    """`1 problem, 2 warnings. It will take about 3 h 24 min`."""
    parts = []
    for severity in ("problem", "warning"):
        count = len(seen.of(severity))
        parts += [f"{count} {severity}{'s' if count > 1 else ''}"] if count else []
    return f"{', '.join(parts) or 'No problem'}. {duration_text(seen)}"


def duration_text(seen: PreflightReport) -> str:
    """How long it will take, as far as anybody knows."""
    expected = seen.expected
    if not expected.known_s and expected.unknown:
        return "How long it will take is not known: none of its models was measured before"
    said = f"It will take about {units.seconds(round(expected.known_s))}"
    if not expected.unknown:
        return said
    names = ", ".join(map(one_line, expected.unknown[:3]))
    more = f" and {len(expected.unknown) - 3} more" if len(expected.unknown) > 3 else ""
    return f"{said}, and what {names}{more} take, which were never measured"

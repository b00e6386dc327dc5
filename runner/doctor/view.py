"""Draws the doctor's findings for people: parts with a title, details in full, wrapped.

A table would cut the details, which are the point. Machines' formats are `runner.view.formats`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..text.sanitize import one_line
from ..view.grid import Column, Grid, grid
from ..view.table_renderer import print_on
from .check import Check

TITLES = {
    "kill": "Killing a worker and all that it started",
    "measure": "Measuring memory and time",
    "store": "Keeping results",
    "models": "Models",
    "here": "Images, screen, machine",
}
STYLES = {"in force": "green", "not here": "yellow", "problem": "bold red"}
CHECKS = (
    Column("area", "Part"),
    Column("check", "Check"),
    Column("state", "State"),
    Column("detail", "Detail", least=30),
)


def draw(checks: Sequence[Check], stream: TextIO) -> None:
    """All findings and their sum."""
    print_on(stream, partial(render, checks))


def render(checks: Sequence[Check], out: Console) -> None:
    """A part after the other, all in the same columns."""
    widest = max(len(check.check) for check in checks)
    for area, found in groupby(checks, key=lambda check: check.area):
        out.print(Text(TITLES.get(area, area), style="bold"))
        drawn = Table.grid(padding=(0, 2, 0, 0))
        drawn.add_column(width=len("in force"), no_wrap=True)
        drawn.add_column(width=widest, no_wrap=True)
        drawn.add_column(overflow="fold")
        for check in found:
            state = Text(check.state, style=STYLES[check.state])
            drawn.add_row(state, Text(check.check), Text(one_line(check.detail)))
        out.print(drawn)
        out.print()
    out.print(Text(summary_line(checks), style="bold"))


def summary_line(checks: Sequence[Check]) -> str:
    """`24 in force, 5 not here, no problem`."""
    counts = Counter(check.state for check in checks)
    problems = counts["problem"]
    told = f"{problems} problem{'s' if problems > 1 else ''}" if problems else "no problem"
    return f"{counts['in force']} in force, {counts['not here']} not here, {told}"


def checks_table(found: Iterable[Check]) -> Grid:
    """What the doctor saw."""
    return grid([asdict(one) for one in found], CHECKS)

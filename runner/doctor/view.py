"""Draws the checks of `vlmsweep doctor`: one titled list per area, details wrapped and never cut.

The other formats (JSON, CSV, ...) are written by `runner.view.formats`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from typing import TextIO

from rich.console import Console
from rich.text import Text

from ..text.sanitize import one_line
from ..text.units import pluralize
from ..view.definition_list import definition_list
from ..view.grid import Column, Grid, grid
from ..view.table_renderer import print_on
from .check import Check

TITLES = {
    "kill": "Killing a worker and all its descendants",
    "measure": "Measuring memory and time",
    "store": "Storing results",
    "models": "Models",
    "environment": "Images, terminal, machine",
}
STYLES = {"ok": "green", "unavailable": "yellow", "problem": "bold red"}
CHECKS = (
    Column("area", "Part"),
    Column("check", "Check"),
    Column("state", "State"),
    Column("detail", "Detail", least=30),
)


def draw_checks(checks: Sequence[Check], stream: TextIO) -> None:
    """Draw all checks and their counts."""
    print_on(stream, partial(render_checks, checks))


def render_checks(checks: Sequence[Check], out: Console) -> None:
    """Print one list per area, all with the same column widths, then the summary line."""
    widths = (len("unavailable"), max(len(check.check) for check in checks))
    for area, found in groupby(checks, key=lambda check: check.area):
        out.print(Text(TITLES.get(area, area), style="bold"))
        rows = [
            (
                Text(check.state, style=STYLES[check.state]),
                Text(check.check),
                Text(one_line(check.detail)),
            )
            for check in found
        ]
        out.print(definition_list(rows, ("", ""), widths))
        out.print()
    out.print(Text(summary_line(checks), style="bold"))


def summary_line(checks: Sequence[Check]) -> str:
    """Return `24 ok, 5 unavailable, no problem`."""
    counts = Counter(check.state for check in checks)
    problems = counts["problem"]
    result = pluralize(problems, "problem") if problems else "no problem"
    return f"{counts['ok']} ok, {counts['unavailable']} unavailable, {result}"


def checks_table(found: Iterable[Check]) -> Grid:
    """Return the checks as rows."""
    return grid([asdict(one) for one in found], CHECKS)

"""Draws preflight findings: the most severe first, wrapped and never cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TextIO

from rich.console import Console
from rich.text import Text

from ..text import units
from ..text.sanitize import one_line
from ..view.definition_list import definition_list
from ..view.table_renderer import print_on
from .finding import Finding
from .run import PreflightReport

STYLES = {"problem": "bold red", "warning": "yellow", "note": "dim"}
MAX_OF_KIND = 5  # findings shown of one severity and kind; the rest are counted


def draw_report(seen: PreflightReport, stream: TextIO) -> None:
    """Draw the findings and the expected duration of the sweep."""
    print_on(stream, partial(render_report, seen))


def render_report(seen: PreflightReport, out: Console) -> None:
    """Print severity, subject, message and hint of each finding, then the totals."""
    rows = []
    for found, more in shortened(seen.findings):
        text = Text(one_line(found.subject), style="bold")
        text.append(f": {one_line(found.message)}", style="not bold")
        if found.hint:
            text.append(f"\n→ {one_line(found.hint)}", style="not bold")
        if more:
            text.append(f"\nand {more} more of this kind", style="dim")
        rows.append((Text(found.severity, style=STYLES[found.severity]), text))
    if seen.findings:
        out.print(definition_list(rows, widths=(len("problem"),)))
        out.print()
    out.print(Text(total(seen), style="bold"))


def shortened(findings: Sequence[Finding]) -> list[tuple[Finding, int]]:
    """Return at most MAX_OF_KIND findings of each kind; the last one with the number omitted."""
    count = Counter((found.severity, found.kind) for found in findings)
    shown: Counter[tuple[str, str]] = Counter()
    out = []
    for found in findings:
        kind = (found.severity, found.kind)
        shown[kind] += 1
        if shown[kind] <= MAX_OF_KIND:
            out.append((found, count[kind] - MAX_OF_KIND if shown[kind] == MAX_OF_KIND else 0))
    return out


def total(seen: PreflightReport) -> str:
    """Return `1 problem, 2 warnings. Expected duration: about 3 h 24 min`."""
    parts = []
    for severity in ("problem", "warning"):
        count = len(seen.of(severity))
        parts += [units.pluralize(count, severity)] if count else []
    return f"{', '.join(parts) or 'No problem'}. {duration_text(seen)}"


def duration_text(seen: PreflightReport) -> str:
    """Return the expected duration, from the history of the same models."""
    expected = seen.expected
    if not expected.known_s and expected.unknown:
        return "Expected duration: unknown (none of the models was measured before)"
    text = f"Expected duration: about {units.seconds(round(expected.known_s))}"
    if not expected.unknown:
        return text
    names = ", ".join(map(one_line, expected.unknown[:3]))
    more = f" and {len(expected.unknown) - 3} more" if len(expected.unknown) > 3 else ""
    return f"{text}, plus {names}{more}, never measured before"

"""Draws what names mean as a dictionary does: the name, its kind, and the meaning in whole lines.

Nothing is cut. Machines' formats of the same are `runner.view.query_tables`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from .table_renderer import GAP, print_on


def tables(rows: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """Every table and view with its meaning, and its columns below."""
    lines = []
    for row in rows:
        meaning = row["meaning"][:1].upper() + row["meaning"][1:]
        told = Text(f"{meaning}\n")
        told.append(", ".join(row["columns"]), style="dim")
        lines.append((row["name"], row["kind"], told))
    draw(lines, stream)


def columns(rows: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """Every column with its type and meaning."""
    draw([(row["column"], row["type"], Text(row["meaning"])) for row in rows], stream)


def draw(lines: Iterable[tuple[str, str, Text]], stream: TextIO) -> None:
    """Three columns; only the last one is folded."""
    made = Table.grid(padding=(0, GAP, 0, 0))
    made.add_column(no_wrap=True, style="bold")
    made.add_column(no_wrap=True, style="dim")
    made.add_column(overflow="fold")
    for name, kind, meaning in lines:
        made.add_row(Text(name), Text(kind), meaning)
    print_on(stream, lambda out: out.print(made))

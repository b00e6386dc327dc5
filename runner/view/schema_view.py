"""Draws the database's tables and columns as a dictionary: name, kind and meaning, never cut.

The other formats of the same rows are in `runner.view.query_tables`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.text import Text

from .definition_list import definition_list
from .table_renderer import print_on


def draw_tables(rows: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """Draw every table and view with its meaning and its columns."""
    lines = []
    for row in rows:
        meaning = row["meaning"][:1].upper() + row["meaning"][1:]
        text = Text(f"{meaning}\n")
        text.append(", ".join(row["columns"]), style="dim")
        lines.append((row["name"], row["kind"], text))
    draw_rows(lines, stream)


def draw_columns(rows: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """Draw every column with its type and meaning."""
    draw_rows([(row["column"], row["type"], Text(row["meaning"])) for row in rows], stream)


def draw_rows(lines: Iterable[tuple[str, str, Text]], stream: TextIO) -> None:
    """Draw names, kinds and meanings; only meanings wrap."""
    rows = [(Text(name), Text(kind), meaning) for name, kind, meaning in lines]
    table = definition_list(rows, ("bold", "dim"))
    print_on(stream, lambda out: out.print(table))

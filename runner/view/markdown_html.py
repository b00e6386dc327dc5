"""Writes a grid as a Markdown or HTML table, to be pasted into a page or a repository.

Cells are human-readable text with units. Text is always text: no answer or file name can mark up
or link anything. Whole pages are `runner.report`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TextIO

from ..text.sanitize import one_line
from .grid import Column, Grid
from .table_renderer import visible_cells

# Characters that could begin a mark, a reference, a link or a mention in the middle of a line; a
# colon or a full stop only where GitHub would make a link of a bare address.
MARKS = re.compile(r"[\\`*_{}\[\]<>|~&$#@!^]|(?<=[A-Za-z]):(?=//)|(?<=www)\.", re.IGNORECASE)
# Characters that start a list, heading or rule at the beginning of a line.
BULLET = re.compile(r"^(\d*)([-+.)])(?=\s|$|-)")


def escape_markdown(text: str) -> str:
    """One line of text that Markdown shows as it is, also within a table."""
    marked = MARKS.sub(lambda found: "\\" + found[0], one_line(text))
    return BULLET.sub(r"\1\\\2", marked)


def write_markdown(what: Grid, stream: TextIO) -> None:
    """A table by GitHub's rules; figures to the right."""
    columns, rows = visible_cells(what)
    stream.writelines(line + "\n" for line in markdown_table(columns, rows))


def markdown_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Its lines, cells escaped."""
    yield piped([escape_markdown(column.title) for column in columns])
    yield piped([":--" if column.kind == "text" else "--:" for column in columns])
    for row in rows:
        yield piped([escape_markdown(cell) for cell in row])


def piped(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"


def write_html(what: Grid, stream: TextIO) -> None:
    """A table element, without style or script."""
    columns, rows = visible_cells(what)
    aligned = ["" if column.kind == "text" else ' align="right"' for column in columns]
    stream.write("<table>\n<thead>\n<tr>")
    for column, align in zip(columns, aligned, strict=True):
        stream.write(f"<th{align}>{escape(column.title)}</th>")
    stream.write("</tr>\n</thead>\n<tbody>\n")
    for row in rows:
        cells = [f"<td{a}>{escape(cell)}</td>" for a, cell in zip(aligned, row, strict=True)]
        stream.write(f"<tr>{''.join(cells)}</tr>\n")
    stream.write("</tbody>\n</table>\n")

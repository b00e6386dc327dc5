"""Renders a grid as a table that fits the screen, or as one block per row.

Text is never taken as rich markup and never breaks a line: too long a cell ends in an
ellipsis. Into a pipe or a file nothing is cut. Machines' formats are `runner.view.formats`'s.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from io import StringIO
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text

from ..text import units
from ..text.sanitize import one_line
from .definition_list import definition_list
from .grid import Column, Grid

GAP = 2
UNLIMITED = 100_000
SHOW = {
    "seconds": units.seconds,
    "bytes": units.size,
    "rate": units.rate,
    "share": units.share,
    "number": units.number,
}
STYLES = {"ok": "green", "right": "green", "wrong": "red"}


def console(stream: TextIO) -> Console:
    """A console on a stream; its own width on a terminal, none elsewhere."""
    made = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not stream.isatty():  # made.is_terminal may be forced by FORCE_COLOR
        made.width = UNLIMITED
    elif made.is_dumb_terminal:  # rich assumes 80 columns for these
        made.size = ConsoleDimensions(*shutil.get_terminal_size())
    return made


def print_on(stream: TextIO, lay_out: Callable[[Console], None]) -> None:
    """Render on a console. Output to a pipe is neither wrapped nor padded."""
    if stream.isatty():
        lay_out(console(stream))
        return
    buffer = StringIO()
    lay_out(console(buffer))
    stream.writelines(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())


def draw_grid(what: Grid, stream: TextIO) -> None:
    """The whole grid."""
    print_on(stream, partial(render_grid, what))


def render_grid(what: Grid, out: Console) -> None:
    """A table, one or two with notes below, or blocks: the first that fits."""
    columns, rows = visible_cells(what)
    if not rows:
        out.print(what.nothing)
        return
    if what.blocks:
        blocks(columns, rows, out)
        return
    aside = any(column.aside for column in columns)
    widths = fit(columns, rows, out.width, only_aside=aside)
    if widths is not None:
        table(out, columns, rows, widths)
        return
    parts = split(columns, rows, out.width)
    if parts is None:
        blocks(columns, rows, out)
        return
    for number, part in enumerate(parts):
        if number:
            out.print()
        table(out, *part)
    notes = footnotes(columns, rows)
    if notes:
        out.print()
    for text, names in notes.items():
        out.print(Text(f"{', '.join(names)}: {text}"))


def footnotes(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Footnotes below the tables: each text once, with the names it belongs to."""
    notes: dict[str, dict[str, None]] = {}
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            if column.aside and cell:
                notes.setdefault(cell, {})[row[0]] = None
    return {text: list(names) for text, names in notes.items()}


Part = tuple[list[Column], list[list[str]], list[int]]


def split(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> list[Part] | None:
    """The table without its `aside` columns; or also without its `below` ones, which then
    go under the first column. None if nothing fits.
    """
    kept = [i for i, column in enumerate(columns) if not column.aside]
    below = [i for i in kept if columns[i].below]
    first = [i for i in kept if i not in below]
    for choice in ([kept], [first, [0, *below]] if below else [kept]):
        parts: list[Part] = []
        for chosen in choice:
            heads, cells = [columns[i] for i in chosen], [[row[i] for i in chosen] for row in rows]
            widths = fit(heads, cells, width, only_aside=bool(below) and choice == [kept])
            if widths is not None:
                parts.append((heads, cells, widths))
        if len(parts) == len(choice):
            return parts
    return None


def visible_cells(what: Grid) -> tuple[list[Column], list[list[str]]]:
    """The visible columns and formatted cells; optional columns only if not empty."""
    rows = [
        [format_value(v, c) for v, c in zip(row, what.columns, strict=True)]
        for row in what.for_people()
    ]
    kept = [i for i, c in enumerate(what.columns) if not c.optional or any(r[i] for r in rows)]
    return [what.columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def format_value(value: Any, column: Column) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if column.kind == "text":
            return units.number(value)
        return SHOW[column.kind](value)
    if isinstance(value, list | tuple):
        return one_line(", ".join(map(str, value)))
    return one_line(str(value))


def fit(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, only_aside: bool = False
) -> list[int] | None:
    """Column widths that fit the screen, shrinking the widest first; None if impossible.

    With `only_aside`, only columns that may be placed below the table are
    shrunk.
    """
    data = [max([0, *(cell_len(row[i]) for row in rows)]) for i in range(len(columns))]
    room = width - GAP * (len(columns) - 1)
    for titles in (whole_title, broken_title):
        heads = [max(map(cell_len, titles(c.title))) for c in columns]
        widths = [max(pair) for pair in zip(data, heads, strict=True)]
        if sum(widths) <= room:
            return widths
    least = [
        min(widths[i], max(heads[i], c.least)) if may_shrink(c, only_aside) else widths[i]
        for i, c in enumerate(columns)
    ]
    return shrink_widest(widths, least, room) if sum(least) <= room else None


def may_shrink(column: Column, only_aside: bool) -> bool:
    """Whether a column's cells may be cut."""
    return column.kind == "text" and (column.aside or not only_aside)


def shrink_widest(widths: list[int], least: Sequence[int], room: int) -> list[int]:
    """Takes from the widest that may still shrink until all fit."""
    out = list(widths)
    while (over := sum(out) - room) > 0:
        able = sorted((i for i in range(len(out)) if out[i] > least[i]), key=lambda i: -out[i])
        widest = able[0]
        next_width = max([out[i] for i in able[1:]], default=0)
        step = max(1, min(over, out[widest] - max(next_width, least[widest])))
        out[widest] -= step
    return out


def whole_title(title: str) -> list[str]:
    """A title on one line."""
    return [title]


def broken_title(title: str) -> list[str]:
    """A title with a line for each word."""
    return title.split() or [""]


def table(
    out: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], widths: Sequence[int]
) -> None:
    """The table itself, in the widths found."""
    drawn = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_edge=False)
    for column, width in zip(columns, widths, strict=True):
        whole = cell_len(column.title) <= width
        title = Text(column.title if whole else "\n".join(broken_title(column.title)))
        right = column.kind != "text"
        drawn.add_column(
            title,
            width=width,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if right else "left",
            vertical="top",
            header_style="bold",
        )
    for row in rows:
        cells = [
            truncate_middle(text, width) if column.middle else text
            for column, text, width in zip(columns, row, widths, strict=True)
        ]
        drawn.add_row(*(Text(text, style=STYLES.get(text, "")) for text in cells))
    out.print(drawn)


def ellipsis(text: str, width: int) -> str:
    """Text in at most `width` cells, its end marked when cut."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def truncate_middle(text: str, width: int) -> str:
    """Text in at most `width` cells, cut in the middle: a model's name differs at its end."""
    if cell_len(text) <= width:
        return text
    head = set_cell_size(text, (width - 1) // 3).rstrip()
    tail = text
    while cell_len(tail) > width - 1 - cell_len(head):
        tail = tail[1:]
    return f"{head}…{tail}"


def blocks(columns: Sequence[Column], rows: Sequence[Sequence[str]], out: Console) -> None:
    """Draw each row as a block of `title  value` lines, when a table is too wide."""
    for number, row in enumerate(rows, 1):
        lines = [
            (Text(column.title), Text(text))
            for column, text in zip(columns, row, strict=True)
            if text
        ]
        if number > 1:
            out.print()
        out.print(definition_list(lines, ("bold",)))

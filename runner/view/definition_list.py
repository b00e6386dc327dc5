"""A definition list: short columns in full width, and a last column that wraps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text


def definition_list(
    rows: Iterable[Sequence[Text]], styles: Sequence[str] = ("",), widths: Sequence[int] = ()
) -> Table:
    """Lay out rows as columns; nothing is cut.

    `styles` has one style for each column but the last, `widths` their minimum widths in cells,
    so that several lists line up.
    """
    table = Table.grid(padding=(0, 2, 0, 0))
    for number, style in enumerate(styles):
        width = widths[number] if widths else None
        table.add_column(no_wrap=True, style=style, min_width=width)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table

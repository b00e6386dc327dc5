"""Rows and their display columns, independent of the output format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "seconds", "bytes", "rate", "share", "number"]


@dataclass(frozen=True, slots=True)
class Column:
    """A display column: its key, title and unit.

    `of` computes what is shown from the whole row instead. `least` is the width a text column
    may be shrunk to in a narrow table. An `aside` column that gets too narrow leaves the table,
    and is written below it instead. An `optional` one is left out where no row fills it; a
    `middle` one is cut in the middle. The `below` ones are in a second table, under the first,
    if one table has no room for all.
    """

    key: str
    title: str
    kind: Kind = "text"
    least: int = 8
    aside: bool = False
    optional: bool = False
    middle: bool = False
    below: bool = False
    of: Callable[[Mapping[str, Any]], Any] | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows as mappings, and their display columns.

    `rows` may be read once only. With `blocks` each row is shown as a block of lines. `nothing`
    is shown if there are no rows.
    """

    keys: Sequence[str]
    rows: Iterable[Sequence[Any]]
    columns: Sequence[Column]
    blocks: bool = False
    nothing: str = "No rows."

    def for_people(self) -> Iterable[list[Any]]:
        """The rows as the columns choose from them."""
        for row in self.rows:
            record = dict(zip(self.keys, row, strict=True))
            yield [c.of(record) if c.of else record[c.key] for c in self.columns]


def grid(
    records: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    *,
    blocks: bool = False,
    nothing: str = "No rows.",
) -> Grid:
    """A grid of records: machine formats get all keys, tables the columns."""
    own = list(records[0]) if records else []
    keys = list(dict.fromkeys([*own, *(c.key for c in columns if c.of is None)]))
    rows = ([record.get(key) for key in keys] for record in records)
    return Grid(keys, rows, columns, blocks, nothing)


def kind_of(key: str) -> Kind:
    """A column's unit by its name, as all our columns are named."""
    for suffix, kind in (
        ("_s", "seconds"),
        ("_bytes", "bytes"),
        ("_tps", "rate"),
        ("success_rate", "share"),
    ):
        if key.endswith(suffix):
            return kind  # type: ignore[return-value]
    return "text"

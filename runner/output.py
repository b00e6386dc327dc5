"""Writes rows as JSON, JSON lines, CSV, TSV or a table: what every reading command ends with.

Machines get every digit, people get units. JSON is pure ASCII, so that it steers no terminal;
CSV cells that a spreadsheet would run as a formula get an apostrophe in front. It knows
nothing of databases; tables are drawn by `runner.tables`.
"""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from typing import Any, Literal, TextIO

from .plain import clean

Format = Literal["json", "nl", "csv", "tsv", "table"]
Kind = Literal["text", "seconds", "bytes", "rate", "number"]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table for people: which key it shows, its title and its unit.

    `of` computes what is shown from the whole row instead. `least` is the width a text column
    may be shrunk to in a narrow table. An `aside` column that gets too narrow leaves the table,
    and is written below it instead. An `optional` one is left out where no row fills it; a
    `middle` one is cut in the middle.
    """

    key: str
    title: str
    kind: Kind = "text"
    least: int = 8
    aside: bool = False
    optional: bool = False
    middle: bool = False
    of: Callable[[Mapping[str, Any]], Any] | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows under keys for machines, and the columns people see of them.

    `rows` may be read once only. With `blocks` people see a block of lines a row.
    """

    keys: Sequence[str]
    rows: Iterable[Sequence[Any]]
    columns: Sequence[Column]
    blocks: bool = False

    def for_people(self) -> Iterable[list[Any]]:
        """The rows as the columns choose from them."""
        for row in self.rows:
            record = dict(zip(self.keys, row, strict=True))
            yield [c.of(record) if c.of else record[c.key] for c in self.columns]


def grid(
    records: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, blocks: bool = False
) -> Grid:
    """A grid of records: machines get every key of theirs, people the columns."""
    own = list(records[0]) if records else []
    keys = list(dict.fromkeys([*own, *(c.key for c in columns if c.of is None)]))
    return Grid(keys, ([record.get(key) for key in keys] for record in records), columns, blocks)


def kind_of(key: str) -> Kind:
    """A column's unit by its name, as all our columns are named."""
    for suffix, kind in (("_s", "seconds"), ("_bytes", "bytes"), ("_tps", "rate")):
        if key.endswith(suffix):
            return kind  # type: ignore[return-value]
    return "text"


def write(what: Grid, format: Format, stream: TextIO) -> None:
    """The whole grid in one of the formats."""
    if format == "table":
        from .tables import draw

        draw(what, stream)
    elif format in ("csv", "tsv"):
        write_csv(what, stream, "," if format == "csv" else "\t")
    else:
        write_json(what, stream, lines=format == "nl")


def write_json(what: Grid, stream: TextIO, *, lines: bool) -> None:
    """A list of objects, or an object a line; rows are written as they come."""
    count = 0
    for row in what.rows:
        if not lines:
            stream.write(",\n " if count else "[")
        stream.write(as_json(dict(zip(what.keys, row, strict=True))) + ("\n" if lines else ""))
        count += 1
    if not lines:
        stream.write("]\n" if count else "[]\n")


def as_json(value: Any) -> str:
    """One value on one line of ASCII; what JSON cannot say is null or base64."""
    return json.dumps(plain(value), default=str)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: infinity as null, bytes as sqlite-utils writes them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return {"$base64": True, "encoded": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def write_csv(what: Grid, stream: TextIO, delimiter: str) -> None:
    """A line of names and a line a row. NULL is an empty cell."""
    on_screen = stream.isatty()
    line = StringIO(newline="")
    # With "\n" for an end, csv would leave a bare "\r" unquoted, and readers would break there.
    writer = csv.writer(line, delimiter=delimiter, lineterminator="\r\n")
    for row in chain([what.keys], what.rows):
        writer.writerow([cell(value, on_screen) for value in row])
        stream.write(line.getvalue().removesuffix("\r\n") + "\n")
        line.seek(0)
        line.truncate()


def cell(value: Any, on_screen: bool) -> Any:
    """A value for CSV, unable to act as a formula or to steer the terminal it is shown on."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping | list | tuple):
        value = as_json(value)
    if not isinstance(value, str):
        return value
    guarded = "'" + value if value.startswith(FORMULA) else value
    return clean(guarded) if on_screen else guarded

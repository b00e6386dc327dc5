"""Writes rows as Parquet, a table that data tools read with its types.

By pyarrow, which is an extra: it is large, and only this needs it. SQLite's columns have no fixed
types: rows are set aside in a temporary file until all have been seen, then each column is written
as the one type that holds all its values. Memory stays that of one batch.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Any

from ..errors import VlmsweepError
from .grid import Grid, kind_of

BATCH = 10_000
EXACT = 2**53  # whole numbers above it are not exact as floating-point ones
# The type of a column that is NULL in every row, by its name.
BY_KIND: dict[str, type] = {"seconds": float, "rate": float, "bytes": int}


def write_parquet(grid: Grid, file: IO[bytes], types: Mapping[str, type] | None = None) -> int:
    """Write the grid; return the number of rows. `types` are used where a column can hold them.

    Raises VlmsweepError where pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise VlmsweepError(
            "Parquet needs the package pyarrow, which is not installed",
            hint="pip install 'vlmsweep[parquet]', or take CSV",
        ) from None
    known, count = types or {}, 0
    with tempfile.TemporaryFile() as aside:
        seen = spool_rows(grid, aside)
        kinds = [
            choose(kinds, known.get(name, BY_KIND.get(kind_of(name), str)))
            for name, kinds in zip(grid.keys, seen, strict=True)
        ]
        schema = pyarrow.schema(
            list(zip(grid.keys, map(pyarrow.type_for_alias, kinds), strict=True))
        )
        with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for columns in read_back(aside):
                arrays = [
                    pyarrow.array(map(as_text, values) if kind == "string" else values, kind)
                    for values, kind in zip(columns, kinds, strict=True)
                ]
                writer.write_table(pyarrow.table(arrays, schema=schema))
                count += len(columns[0])
    return count


def spool_rows(grid: Grid, aside: IO[bytes]) -> list[set[str]]:
    """Stores the rows in batches of columns; returns the kinds of value each column holds."""
    seen: list[set[str]] = [set() for _ in grid.keys]
    for batch in batches(grid.rows):
        columns = [list(column) for column in zip(*batch, strict=True)]
        for kinds, column in zip(seen, columns, strict=True):
            kinds.update(map(kind, column))
        pickle.dump(columns, aside, pickle.HIGHEST_PROTOCOL)
    return seen


def batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    """The rows, some thousands at a time."""
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        yield batch


def read_back(aside: IO[bytes]) -> Iterator[list[list[Any]]]:
    """The spooled rows."""
    aside.seek(0)
    while True:
        try:
            yield pickle.load(aside)
        except EOFError:
            return


def kind(value: Any) -> str:
    """The type of one value; numbers too large for an exact float are a type of their own."""
    if type(value) is int and abs(value) > EXACT:
        return "large"
    return type(value).__name__


def choose(kinds: set[str], known: type) -> str:
    """The type that holds all of a column's values, the known one if that does; else text."""
    seen = kinds - {"NoneType"}
    if seen <= {"bool"} and seen:
        return "bool"
    if seen <= {"int", "large"} and (seen or known is int) and not (known is float and seen):
        return "int64"
    if seen <= {"int", "float"} and (seen or known is float):
        return "float64"
    if seen == {"bytes"}:
        return "binary"
    return "int64" if seen and seen <= {"int", "large"} else "string"


def as_text(value: Any) -> str | None:
    """A value in a column that holds texts too."""
    return value if value is None or isinstance(value, str) else str(value)

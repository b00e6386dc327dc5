"""Writes rows as Parquet, a table that data tools read with its types.

By pyarrow, which is an extra: it is large, and only this needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from ..errors import VlmsweepError
from .columns import Grid, kind_of

ARROW = {int: "int64", float: "float64", str: "string"}
# What a column would hold that is NULL in every row, by its name alone.
BY_KIND: dict[str, type] = {"seconds": float, "rate": float, "bytes": int}


def write_parquet(grid: Grid, file: IO[bytes], types: Mapping[str, type] | None = None) -> None:
    """The whole grid, its columns of these types where they are known beforehand.

    Raises VlmsweepError where pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise VlmsweepError(
            "Parquet needs the package pyarrow, which is not installed",
            hint="pip install 'vlmsweep[parquet]', or take --format csv",
        ) from None
    rows, known = list(grid.rows), types or {}
    columns = {
        name: column(pyarrow, [row[i] for row in rows], known.get(name, BY_KIND.get(kind_of(name))))
        for i, name in enumerate(grid.keys)
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), file, compression="zstd")


def column(pyarrow: Any, values: list[Any], known: type | None) -> Any:
    """An array of one type; SQLite may mix them, Parquet may not."""
    empty = all(value is None for value in values)
    for type in (ARROW.get(known or str) if known or empty else None, None):
        try:
            return pyarrow.array(values, type)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
            continue
    return pyarrow.array([None if value is None else str(value) for value in values])

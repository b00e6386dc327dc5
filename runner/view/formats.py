"""Writes rows as JSON, CSV, a table or the like: the output of every reading command.

Machines get every digit, people get units. JSON is pure ASCII, so that it steers no terminal;
CSV cells that a spreadsheet would run as a formula get an apostrophe in front. It does
not depend on databases; tables are drawn by `runner.view.table_renderer`, and for pages and
repositories by `runner.view.markdown_html`.
"""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Mapping
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TextIO

from ..errors import VlmsweepError
from ..text.sanitize import strip_control_characters
from ..text.units import pluralize
from .grid import Grid

Format = Literal["json", "nl", "csv", "tsv", "table", "md", "html"]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_grid(what: Grid, format: Format, stream: TextIO) -> None:
    """The whole grid in one of the formats."""
    if format == "table":
        from .table_renderer import draw_grid  # brings rich, which machines' formats do without

        draw_grid(what, stream)
    elif format in ("md", "html"):
        from . import markdown_html

        (markdown_html.write_markdown if format == "md" else markdown_html.write_html)(what, stream)
    elif format in ("csv", "tsv"):
        write_csv(what, stream, "," if format == "csv" else "\t")
    else:
        write_json(what, stream, lines=format == "nl")


def write_or_save(what: Grid, format: Format, stream: TextIO, parquet: Path | None) -> None:
    """The whole grid as a Parquet file where one is named, else on the stream."""
    if parquet is None:
        write_grid(what, format, stream)
        return
    from .parquet import write_parquet

    made = parquet.with_name(f"{parquet.name}.part")
    try:
        with made.open("wb") as file:
            count = write_parquet(what, file)
        made.replace(parquet)
    except OSError as error:
        raise VlmsweepError(f"cannot write {parquet}: {error.strerror or error}") from error
    finally:
        made.unlink(missing_ok=True)
    stream.write(f"{pluralize(count, 'row')} written to {strip_control_characters(str(parquet))}\n")


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
    """A header line and one line per row. NULL is an empty cell."""
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
    return strip_control_characters(guarded) if on_screen else guarded

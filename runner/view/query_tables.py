"""Columns of named queries, search and schema. Definitions only.

As `runner.view.tables`, which holds those of the other commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..database.reader import QueryResult
from .grid import Column, Grid, grid, kind_of

if TYPE_CHECKING:
    from ..queries import NamedQuery

Record = Mapping[str, Any]


WHOLE = 1000  # such a text is never cut: it leaves the table where it does not fit
LONG = {"message", "hint", "answers_by_model", "changed_packages"}
RATIOS = {"time_ratio", "memory_ratio"}
COUNTS = {"run", "runs", "jobs", "ok", "failed", "fixed", "newly_failing", "loads", "workers"}
COUNTS |= {"out_of_memory_jobs", "sweeps", "survivors", "texts", "answers", "largest_agreement"}
COUNTS |= {"input_tokens", "output_tokens"}


def names(row: Record) -> str:
    """A query's parameters."""
    return ", ".join(parameter["name"] for parameter in row["parameters"])


def own(row: Record) -> str | None:
    """The path of a user's query."""
    return None if row["ours"] else str(row["path"])


def place(row: Record) -> str:
    """The matches and their number."""
    return f"run {row['run']}" if row["run"] else f"prompt {row['prompt_id']}"


QUERIES = (
    Column("name", "Query"),
    Column("title", "Title", least=30),
    Column("parameters", "Parameters", least=16, of=names),
    Column("path", "Yours", least=16, middle=True, optional=True, of=own),
)
FOUND = (
    Column("found_in", "Found in", of=place),
    Column("sweep", "Sweep", least=8, optional=True),
    Column("model", "Model", least=14, middle=True, optional=True),
    Column("image", "Image", least=8, optional=True),
    Column("prompt", "Prompt", least=8),
    Column("text", "Text", least=WHOLE, aside=True),
)


def queries(found: Sequence[NamedQuery]) -> Grid:
    """The named queries."""
    rows = [
        {
            "name": query.name,
            "title": query.title,
            "parameters": [asdict(parameter) for parameter in query.parameters],
            "help": query.help,
            "ours": query.is_builtin,
            "path": str(query.path),
        }
        for query in found
    ]
    return grid(rows, QUERIES)


def query_table(answer: QueryResult) -> Grid:
    """A named query's columns with titles; empty columns are left out."""
    return Grid(answer.names, answer.rows, [query_column(name) for name in answer.names])


def query_column(name: str) -> Column:
    """A column of a built-in query: the unit follows from its name and is shown with the value."""
    words = name.removesuffix("_s").removesuffix("_bytes").removesuffix("_at").replace("_", " ")
    words = words.replace("generation tps", "tokens/s")
    when = (lambda row: row[name] and minute(row[name])) if name.endswith("_at") else None
    title = words[:1].upper() + words[1:] if "/" not in words else words
    least = WHOLE if name in LONG else 12 if name == "model" else 8
    kind = "number" if name in COUNTS else "rate" if name in RATIOS else kind_of(name)
    return Column(
        name,
        title,
        kind,
        least=least,
        aside=name in LONG,
        optional=True,
        middle=name == "model",
        of=when,
    )


def minute(at: str) -> str:
    """A time of day, to the minute."""
    return at[:16].replace("T", " ")


def search_table(rows: Sequence[Record]) -> Grid:
    """The results of a search."""
    return grid(rows, FOUND)


def schema_table(rows: Sequence[Record]) -> Grid:
    """The tables and views of the database, for machines; people get `runner.view.schema_view`."""
    return grid(rows, [Column(key, key) for key in ("name", "kind", "meaning", "columns")])


def columns_table(rows: Sequence[Record]) -> Grid:
    """The columns of one of them, for machines."""
    return grid(rows, [Column(key, key) for key in ("column", "type", "null", "meaning")])

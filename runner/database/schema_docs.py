"""Descriptions of tables, views and columns, from `schemas.rows`; it opens no database."""

from __future__ import annotations

import types
import typing
from typing import Any

from schemas import rows

from ..errors import QueryError
from ..text.suggest import suggest


def describe_tables() -> list[dict[str, Any]]:
    """Views and tables, each with its kind, meaning and columns."""
    return [
        {
            "name": name,
            "kind": kind,
            "meaning": table_description(row),
            "columns": list(column_hints(row)),
        }
        for kind, found in (("view", rows.VIEWS), ("table", rows.TABLES))
        for name, row in found.items()
    ]


def describe_columns(name: str) -> list[dict[str, Any]]:
    """The columns of one of them: type, whether it may be NULL, meaning. Raises QueryError."""
    known = rows.VIEWS | rows.TABLES
    row = known.get(name) or known.get(name.lower())
    if row is None:
        raise QueryError(
            f"there is no table {name!r}{suggest(name, known)}", hint=f"known: {', '.join(known)}"
        )
    found = []
    for column, hint in column_hints(row).items():
        kind, text = typing.get_args(hint)
        null = isinstance(kind, types.UnionType)
        found.append({"column": column, "type": type_name(kind), "null": null, "meaning": text})
    return found


def column_hints(row: type) -> dict[str, Any]:
    """The columns and their descriptions."""
    return typing.get_type_hints(row, include_extras=True)


def table_description(row: type) -> str:
    """The description of a table or view."""
    return (row.__doc__ or "").strip().removeprefix("View: ")


def type_name(hint: Any) -> str:
    """SQLite's word for a column's type."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return {int: "INTEGER", float: "REAL", str: "TEXT"}[hint]

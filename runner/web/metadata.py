"""Datasette's metadata for the file: titles, descriptions of every table and column, queries.

Descriptions are those of `schemas.rows`, of which docs/results.md is made too.
"""

from __future__ import annotations

import typing
from html import escape
from inspect import cleandoc
from pathlib import Path
from typing import Any

from schemas import rows

from .canned_queries import CannedQuery

NAME = "history"
LABELS = {
    "sweeps": "name",
    "sweep_models": "name",
    "models": "location",
    "images": "name",
    "prompts": "text",
    "environments": "platform",
}
FACETS = {
    "results": ["sweep", "model", "outcome"],
    "summary": ["sweep", "model"],
    "runs": ["outcome"],
    "jobs": ["state"],
    "workers": ["killed_for"],
    "images": ["format"],
    "sweeps": ["state"],
}
NEWEST = {"results": "job_id", "summary": "sweep_model_id", "sweeps": "id", "runs": "id"}
NEWEST |= {"workers": "id"}
MANY = 200_000  # runs above which a view's facets would time out
SETTINGS = {
    "default_page_size": 50,
    "sql_time_limit_ms": 10_000,
    "facet_time_limit_ms": 1000,
    "suggest_facets": False,  # it tries every column of every page
    "allow_download": False,  # incomplete while a write-ahead log exists
    "default_cache_ttl": 0,  # a sweep may be running
    "truncate_cells_html": 300,
}


def metadata(database: Path, asked: list[CannedQuery], runs: int) -> dict[str, Any]:
    """Datasette's metadata. With many `runs`, views are shown without row counts."""
    return {
        "title": "vlmsweep",
        "description": "Answers, speed and failures of vision-language models.",
        "source": str(database),
        "databases": {
            NAME: {
                "title": "vlmsweep's history",
                "source": str(database),
                "tables": table_metadata(runs < MANY),
                "queries": {query_slug(question): query(question) for question in asked},
            }
        },
    }


def query_slug(question: CannedQuery) -> str:
    """A query's name in addresses, where a view may have the same."""
    taken = rows.VIEWS | rows.TABLES
    return f"{question.name}-query" if question.name in taken else question.name


def table_metadata(counted: bool) -> dict[str, Any]:
    """Each table and view, with its columns."""
    found: dict[str, Any] = {"_sqlite_migrations": {"hidden": True}}
    for name, row in (rows.VIEWS | rows.TABLES).items():
        about: dict[str, Any] = {"description": description(row), "columns": column_meanings(row)}
        if name in LABELS:
            about["label_column"] = LABELS[name]
        if name in FACETS and (counted or name not in rows.VIEWS):
            about["facets"] = FACETS[name]
        if name in NEWEST:
            about["sort_desc"] = NEWEST[name]
        found[name] = about
    return found


def description(row: type) -> str:
    """The description of a table."""
    text = cleandoc(row.__doc__ or "").removeprefix("View: ")
    return text[:1].upper() + text[1:]


def column_meanings(row: type) -> dict[str, str]:
    """The description of each column."""
    hints = typing.get_type_hints(row, include_extras=True)
    return {name: typing.get_args(hint)[1] for name, hint in hints.items()}


def query(question: CannedQuery) -> dict[str, Any]:
    """A named query as a stored one."""
    help = escape(question.help).replace("\n", "<br>")
    return {
        "sql": question.sql,
        "title": question.name,
        "description": question.title,
        "description_html": f"<p><strong>{escape(question.title)}</strong></p><p>{help}</p>",
        "hide_sql": True,
    }

"""The database's schema, as sqlite-utils migrations: a file each, applied in their order.

A migration that was released is never edited: later changes are further migrations. What the
columns mean is said in `schemas.rows`. Opening files and writing rows is `runner.database.store`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlite_utils import Migrations

from . import m001_spine, m002_views, m003_queue, m004_judging, m005_search, m006_speed, m007_trust

if TYPE_CHECKING:
    from sqlite_utils.db import Database

migrations = Migrations("vlmsweep")


def script(db: Database, statements: str) -> None:
    """Several statements, within the migration's own transaction."""
    for statement in statements.split(";\n"):
        if statement.strip():
            db.execute(statement)


def add_columns(db: Database, columns: Mapping[str, Sequence[str]]) -> None:
    """Columns, by table."""
    for table, definitions in columns.items():
        for definition in definitions:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {definition}")


@migrations(name="m001_spine")
def spine(db: Database) -> None:
    """The tables everything rests on."""
    script(db, m001_spine.TABLES)


@migrations(name="m002_views")
def views(db: Database) -> None:
    """The views made for people."""
    db.create_view("results", m002_views.RESULTS)
    db.create_view("summary", m002_views.SUMMARY)


@migrations(name="m003_queue")
def queue(db: Database) -> None:
    """The overnight queue."""
    add_columns(db, m003_queue.COLUMNS)
    script(db, m003_queue.TABLES)


@migrations(name="m004_judging")
def judging(db: Database) -> None:
    """Checks of texts, accepted answers and scores."""
    script(db, m004_judging.TABLES)
    db.create_view("judged", m004_judging.JUDGED)
    db.create_view("model_scores", m004_judging.MODEL_SCORES)


@migrations(name="m005_search")
def search(db: Database) -> None:
    """Full-text search."""
    for statement in m005_search.STATEMENTS:
        db.execute(statement)


@migrations(name="m006_speed")
def speed(db: Database) -> None:
    """Views that stay quick in a long history."""
    db.create_view("results", m006_speed.RESULTS, replace=True)
    db.create_view("summary", m006_speed.SUMMARY, replace=True)


@migrations(name="m007_trust")
def trust(db: Database) -> None:
    """What makes a figure doubtful, and leave to be too large."""
    add_columns(db, m007_trust.COLUMNS)


NAMES = (
    "m001_spine",
    "m002_views",
    "m003_queue",
    "m004_judging",
    "m005_search",
    "m006_speed",
    "m007_trust",
)

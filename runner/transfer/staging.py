"""A staging database: an empty file with our schema, in which rows from outside are checked.

Only values get into it, never a trigger or a view, and the file they came from is not written to.
The rows are read by `runner.transfer.database_source` and `runner.transfer.bundle_reader`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import typing
from collections.abc import Sequence
from pathlib import Path

from sqlite_utils import Database

from schemas import rows
from schemas.load_spec import LoadSpec

from ..database import APPLICATION_ID, MIGRATIONS
from ..database.merge.tables import TABLES
from ..database.migrations import migrations
from ..database.store import canonical_json
from . import ExchangeError

# It names a folder and is shown.
UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
DIGEST = re.compile(r"[0-9a-f]{64}")


def check_schema(schema: Sequence[str]) -> None:
    """Raises ExchangeError unless `schema`, the names of its migrations, is known here."""
    if newer := set(schema) - set(MIGRATIONS):
        raise ExchangeError(
            f"it was written by a newer vlmsweep ({max(newer)})", hint="upgrade vlmsweep"
        )
    if set(schema) != set(MIGRATIONS):
        raise ExchangeError("its schema is none that vlmsweep ever had")


def create_staging(path: Path) -> Database:
    """Creates an empty database with our schema. Files may be attached to it by URI."""
    db = Database(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rwc", uri=True))
    db.conn.isolation_level = None
    # It lives as long as the import does: nothing in it must outlast a power cut.
    pragmas = ("journal_mode = OFF", "synchronous = OFF", "trusted_schema = ON")
    for pragma in (f"application_id = {APPLICATION_ID}", *pragmas, "foreign_keys = OFF"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    migrations.apply(db)
    for trigger in db.triggers:  # they fill the search index, which is not used here
        db.execute(f"DROP TRIGGER {trigger.name}")
    return db


def table_columns(db: Database) -> dict[str, list[str]]:
    """The tables that a bundle holds, each with its stored columns (not the generated ones)."""
    query = "SELECT name FROM pragma_table_info(?)"
    return {
        table.name: [column for (column,) in db.execute(query, [table.name])] for table in TABLES
    }


def validate(db: Database) -> None:
    """Checks a filled staging database. Raises ExchangeError."""
    if dangling := db.execute("PRAGMA foreign_key_check").fetchone():
        raise ExchangeError(f"its {dangling[0]} reference missing {dangling[2]}")
    check_json(db)
    check_load_specs(db)
    check_names(db)
    check_hashes(db)


# The start of a column's documentation, and SQLite's name of that JSON type.
KINDS = {"JSON list": "array", "JSON object": "object", "JSON:": "object"}


def check_json(db: Database) -> None:
    """Columns that are documented as JSON hold JSON, of the kind that is documented."""
    for table, columns in table_columns(db).items():
        hints = typing.get_type_hints(rows.TABLES[table], include_extras=True)
        for column in columns:
            meaning = typing.get_args(hints[column])[1]
            kind = next((KINDS[start] for start in KINDS if meaning.startswith(start)), None)
            if kind is None:
                continue
            ask = f"""
                SELECT 1 FROM {table} WHERE {column} NOT NULL AND CASE json_valid({column})
                WHEN 1 THEN json_type({column}) <> ? ELSE 1 END
            """  # noqa: S608
            if db.execute(ask, [kind]).fetchone():
                raise ExchangeError(f"{table}.{column} is not a JSON {kind}")


def check_load_specs(db: Database) -> None:
    """Raises ExchangeError for load options that are unknown or invalid."""
    for (text,) in db.execute("SELECT DISTINCT load_spec FROM sweep_models"):
        try:
            LoadSpec.from_json(text)
        except (ValueError, RecursionError) as error:
            raise ExchangeError(f"its load options cannot be used: {error}") from error


def check_names(db: Database) -> None:
    """Raises ExchangeError if a value that becomes part of a file name is unsafe."""
    for (uid,) in db.execute("SELECT uid FROM sweeps"):
        if not UID.fullmatch(uid):
            raise ExchangeError(f"{uid!r} is not a sweep's uid")
    ask = "SELECT prepared_sha256 FROM images WHERE prepared_sha256 NOT NULL"
    for (digest,) in db.execute(ask):
        if not DIGEST.fullmatch(digest):
            raise ExchangeError(f"{digest!r} is not an image's hash")


def check_hashes(db: Database) -> None:
    """Checks the hashes of shared rows, so that none can replace an existing row."""
    for digest, name, turns in db.execute("SELECT sha256, name, turns FROM prompts"):
        if digest != sha256(canonical_json([name, json.loads(turns)])):
            raise ExchangeError("a prompt does not match its hash")
    for digest, files in db.execute("SELECT fingerprint, files FROM models"):
        if (digest or files) and digest != sha256(files or ""):
            raise ExchangeError("a model's files do not match its fingerprint")
    names = [name for name in table_columns(db)["environments"] if name not in ("id", "sha256")]
    ask = f"SELECT sha256, {', '.join(names)} FROM environments"  # noqa: S608
    for digest, *values in db.execute(ask):
        if digest != sha256(canonical_json(dict(zip(names, values, strict=True)))):
            raise ExchangeError("an environment does not match its hash")


def sha256(text: str) -> str:
    """A text's hash."""
    return hashlib.sha256(text.encode()).hexdigest()

"""Reads an untrusted database into a new one, without changing it.

Only values of known tables are copied. Files are searched in the folder that belongs to the
database, not at the paths that its rows name.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from ..database import APPLICATION_ID
from ..database.file_names import files_folder
from ..database.reader import connect
from . import ExchangeError, staging

HEAD = b"SQLite format 3\x00"


class DatabaseSource:
    """A database file and its folder of files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = files_folder(path)

    def schema(self) -> list[str]:
        """The migrations it has had. Raises ExchangeError unless it is a vlmsweep database."""
        try:
            with closing(connect(self.path)) as connection:
                (ours,) = connection.execute("PRAGMA application_id").fetchone()
                if ours != APPLICATION_ID:
                    raise ExchangeError("it is a database of some other program")
                ask = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'vlmsweep'"
                return [str(name) for (name,) in connection.execute(ask)]
        except sqlite3.Error as error:
            raise ExchangeError(f"it cannot be read: {error}") from error

    def fill(self, db: Database) -> None:
        """Copies all values into a fresh history, as they are at one moment.

        Raises ExchangeError.
        """
        try:
            db.execute("ATTACH ? AS source", [read_only(self.path)])
            with db.atomic():
                for table, columns in staging.table_columns(db).items():
                    self.copy(db, table, columns)
            db.execute("DETACH source")
        except sqlite3.IntegrityError as error:
            raise ExchangeError(f"its rows break the schema's rules: {error}") from error
        except sqlite3.Error as error:
            raise ExchangeError(f"it cannot be read: {error}") from error

    @staticmethod
    def copy(db: Database, table: str, columns: Sequence[str]) -> None:
        """Copies a table's stored values: no expression of the file's own schema is computed.

        Raises ExchangeError for a view, a virtual table, or a column that is missing or generated.
        """
        kind = db.execute(
            "SELECT sql FROM source.sqlite_master WHERE type = 'table' AND name = ?", [table]
        ).fetchone()
        if kind is None or re.match(r"\s*CREATE\s+VIRTUAL", str(kind[0]), re.IGNORECASE):
            raise ExchangeError(f"it has no table {table}")
        query = "SELECT name FROM pragma_table_info(?, 'source')"  # leaves generated ones out
        stored = {name for (name,) in db.execute(query, [table])}
        if missing := [name for name in columns if name not in stored]:
            raise ExchangeError(f"it cannot be read: {table} has no stored column {missing[0]}")
        names = ", ".join(columns)
        db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM source.{table}")  # noqa: S608

    def size(self) -> int:
        """Bytes that its rows may take at most."""
        return self.path.stat().st_size

    def image(self, digest: str) -> Path | None:
        """The prepared image with this hash, or None."""
        return self.file_inside(Path("images", digest[:2], f"{digest}.png"))

    def log(self, uid: str, number: int) -> Path | None:
        """A worker's log, or None."""
        return self.file_inside(Path("logs", uid, f"worker-{number}.log"))

    def file_inside(self, name: Path) -> Path | None:
        """A file in its folder; a link that leads out of it is none."""
        path = self.files / name
        inside = path.resolve().is_relative_to(self.files.resolve())
        return path if inside and path.is_file() else None

    def close(self) -> None:
        """Nothing is held open."""


def read_only(path: Path) -> str:
    """The URI by which a database can be read without writing anything. Raises sqlite3.Error."""
    uri = path.absolute().as_uri() + "?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # As runner.database.reader does if the folder is read-only.
            if path.with_name(path.name + "-wal").exists():
                raise
            uri += "&immutable=1"
    return uri

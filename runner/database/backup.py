"""Copies the database as it is at one moment, compacted, while others go on writing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ..errors import DatabaseError
from ..system.atomic_write import atomic_path
from .reader import Reader, connect


def backup(database: Path, copy: Path, replace: bool = False) -> int:
    """Copies the database, compacts and checks the copy; returns its size in bytes.

    Images and logs are not copied. Raises DatabaseError, and then leaves no
    incomplete copy behind.
    """
    Reader(database).connection.close()  # raises DatabaseError for any other file
    if copy.exists() and not replace:
        raise DatabaseError(f"{copy} is there already", hint="give --replace to write over it")
    if copy.exists() and copy.samefile(database):
        raise DatabaseError(f"{copy} is the database itself")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(copy) as temporary:
            # Not VACUUM INTO: from a file opened read-only it fails on tables with generated
            # columns.
            with (
                closing(connect(database)) as connection,
                closing(sqlite3.connect(temporary, isolation_level=None)) as written,
            ):
                connection.backup(written)  # in one step, so of one moment
                written.execute("PRAGMA journal_mode = DELETE")
                written.execute("VACUUM")
                (check,) = written.execute("PRAGMA quick_check").fetchone()
            if check != "ok":
                raise DatabaseError(f"the copy of {database} is damaged: {check}")
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(f"cannot copy {database} to {copy}: {error}") from error
    return copy.stat().st_size

"""Whether a path can be the database of a sweep; found out before any work, without a trace.

`runner.database.store` makes the same checks when it opens the file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from ..errors import DatabaseError
from ..paths import unusable_database
from ..system.disk import nearest_existing
from ..text.sanitize import is_plain
from . import APPLICATION_ID, MIGRATIONS
from .file_names import canonical_path, lock_file
from .lock import no_lock_file, no_locks, open_lock_file
from .reader import connect

APPLIED = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'vlmsweep'"


def check_usable(database: Path) -> None:
    """Raises DatabaseError if a sweep could not be stored at that path.

    Creates no file, except those that any reader of a database leaves.
    """
    path = canonical_path(database)
    check_name(path)
    check_lockable(path, trial=not lock_file(path).exists())
    if not path.exists():
        return
    if not os.access(path, os.W_OK):
        raise unusable_database(str(path), "it cannot be written (permission denied)")
    try:
        with closing(connect(path)) as connection:
            check_contents(connection, path)
    except sqlite3.Error as error:
        raise unusable_database(str(path), str(error)) from error


def check_name(path: Path) -> None:
    """Raises DatabaseError for a path with control characters."""
    if not is_plain(str(path)):
        raise DatabaseError(
            f"database path {path} contains control characters",
            hint="give a place with a plain name with --db, or set VLMSWEEP_DB",
        )


def check_lockable(path: Path, trial: bool = False) -> None:
    """Raises DatabaseError where no lock file can be made, or its file system has no locks.

    `trial`: try it on a temporary file, in the nearest existing folder.
    """
    folder = nearest_existing(path.parent) if trial else path.parent
    try:
        descriptor = temporary_file(folder) if trial else open_lock_file(path)
    except OSError as error:
        raise no_lock_file(path, folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # disturbs no holder
    except OSError as error:
        raise no_locks(path, error) from error
    finally:
        os.close(descriptor)


def temporary_file(folder: Path) -> int:
    """A descriptor of a file in a folder that has no name any more. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


def check_contents(connection: sqlite3.Connection, path: Path) -> None:
    """Raises DatabaseError if the file is another program's, or a newer vlmsweep's."""
    (ours,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if ours != APPLICATION_ID and tables:
        raise DatabaseError(
            f"{path} is a database of some other program; it was left as it is",
            hint="give another file with --db",
        )
    applied = connection.execute(APPLIED) if "_sqlite_migrations" in tables else ()
    if newer := {name for (name,) in applied} - set(MIGRATIONS):
        raise DatabaseError(
            f"{path} was written by a newer vlmsweep ({max(newer)}); it was left as it is",
            hint="upgrade vlmsweep, or give another file with --db",
        )

"""The files of an open database: notices when one is moved, deleted or replaced.

SQLite writes to `NAME-wal` first. A database that is moved without that file lacks its latest rows,
and closing it does not bring them over; so they are written into the file that was opened.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from ..errors import DatabaseError
from ..system.file_identity import identity_of
from ..system.open_path import path_of_descriptor
from ..system.timestamps import utc_now
from ..text.sanitize import display_path
from .lock import DatabaseLock, lock_database_file


class OpenFiles:
    """A database, its write-ahead log, its index and its lock, as they were when it was opened."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: DatabaseLock) -> None:
        """Raises OSError, or BusyError if another process has the database locked."""
        self.path, self.connection, self.lock = path, connection, lock
        # Closed after the connection: closing any descriptor of a file drops the process's locks.
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            lock_database_file(self.descriptor, path)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.opened = {name: identity_of(name) for name in self.paths()}

    def paths(self) -> list[Path]:
        """The database, its write-ahead log and its index."""
        return [self.path, *(Path(f"{self.path}-{end}") for end in ("wal", "shm"))]

    def close(self) -> None:
        """Close the descriptor; the connection must be closed before."""
        os.close(self.descriptor)

    def lost(self) -> list[Path]:
        """The files that are no longer where they were opened."""
        return [path for path, known in self.opened.items() if known and identity_of(path) != known]

    def check(self) -> None:
        """Raises DatabaseError if a file was moved, deleted or replaced; saves all rows first.

        A lock file that was removed is locked again. Raises BusyError if another process has it.
        """
        if not (lost := self.lost()):
            self.lock.restore()
            return
        where = self.save()
        raise DatabaseError(
            f"{display_path(lost[0])} was moved, deleted or replaced while it was in use",
            hint=f"all rows are in {display_path(where)}; give it with --db to go on"
            if where
            else "its rows could not be saved",
        )

    def save(self) -> Path | None:
        """Write all rows into the opened file, or into a new one if it was deleted.

        Return the file; None if that failed.
        """
        try:
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            if os.fstat(self.descriptor).st_nlink:
                return path_of_descriptor(self.descriptor) or self.path
            return self.save_copy()
        except (OSError, sqlite3.Error):
            return None

    def save_copy(self) -> Path:
        """Copy the database into a new file next to its former path. Raises sqlite3.Error."""
        moment = utc_now()[:19].replace(":", "")
        copy = self.path.with_name(f"{self.path.stem}-saved-{moment}{self.path.suffix}")
        with closing(sqlite3.connect(copy)) as target:
            self.connection.backup(target)
        return copy

    def save_if_lost(self) -> None:
        """Save all rows if a file was moved or removed; for the end of a process."""
        with suppress(OSError):
            if self.lost():
                self.save()

"""Checks where the database is stored: free space, rights, SQLite, and the file's integrity.

The user's database is only read. Writing is tried in a temporary folder next to it.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..database import MIGRATIONS, lock
from ..database.liveness import has_supervisor
from ..database.reader import Reader
from ..errors import DatabaseError
from ..system.disk import nearest_existing
from ..text import units
from ..text.sanitize import display_path
from .check import Check, state_of

LOW_BYTES = 1_000_000_000
CHECK_S = 30.0
STRICT_SINCE = (3, 37, 0)
Version = tuple[int, ...]


def storage_checks(database: Path) -> Iterator[Check]:
    """Yield checks of the disk, SQLite and the database."""
    place = nearest_existing(database.parent)
    yield check_disk_space(place)
    yield check_sqlite_version()
    yield wal(place)
    yield wal_reset(sqlite3.sqlite_version_info)
    yield history(database)
    if database.exists():
        yield supervisor(database)


def check_disk_space(place: Path) -> Check:
    """Check free disk space."""
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Check("store", "disk", "problem", f"{display_path(place)}: {error.strerror}")
    detail = f"{units.size(free)} free at {display_path(place)}"
    if free < LOW_BYTES:
        return Check("store", "disk", "problem", f"{detail}: too little for a sweep")
    return Check("store", "disk", "ok", detail)


def check_sqlite_version() -> Check:
    """Check the version of Python's SQLite library."""
    new = sqlite3.sqlite_version_info >= STRICT_SINCE
    detail = sqlite3.sqlite_version if new else f"{sqlite3.sqlite_version}: 3.37 or newer is needed"
    return Check("store", "SQLite", state_of(new), detail)


def wal(place: Path) -> Check:
    """Check that a write-ahead-log database can be written and read at that folder."""
    check, where = "write-ahead log", display_path(place)
    if not place.is_dir():
        return Check("store", check, "problem", f"{where} is not a folder")
    try:
        with tempfile.TemporaryDirectory(prefix=".vlmsweep-doctor-", dir=place) as folder:
            file = Path(folder, "probe.db")
            with closing(sqlite3.connect(file, isolation_level=None)) as writer:
                (mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
                writer.execute("PRAGMA synchronous = FULL")
                writer.execute("CREATE TABLE probe (x)")
                writer.execute("INSERT INTO probe VALUES (zeroblob(1000000))")
                with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as reader:
                    (seen,) = reader.execute("SELECT count(*) FROM probe").fetchone()
    except (OSError, sqlite3.Error) as error:
        return Check("store", check, "problem", f"cannot write at {where}: {error}")
    if mode != "wal" or seen != 1:
        detail = f"does not work at {where} (a network share?): choose a local path with --db"
        return Check("store", check, "problem", detail)
    detail = "works here: readers and the writer do not block each other"
    return Check("store", check, "ok", detail)


def has_wal_reset_bug(version: Version) -> bool:
    """SQLite 3.7.0 to 3.51.2 have it, but for the backports 3.44.6 and 3.50.7 and their like.

    https://sqlite.org/wal.html#walresetbug
    """
    mended = (version[:2] == (3, 50) and version >= (3, 50, 7)) or (
        version[:2] == (3, 44) and version >= (3, 44, 6)
    )
    return (3, 7, 0) <= version[:3] < (3, 51, 3) and not mended


def wal_reset(version: Version) -> Check:
    """Check for the bug; vlmsweep is safe, since it writes through one connection."""
    check = "WAL-reset fix"
    if not has_wal_reset_bug(version):
        return Check("store", check, "ok", "this SQLite is free of the WAL-reset bug")
    detail = "this SQLite has the bug (fixed in 3.51.3). It takes two connections that write or"
    detail += " checkpoint at once: vlmsweep has one, and its readers can do neither. Let no other"
    detail += " program write to the database while a sweep runs"
    return Check("store", check, "unavailable", detail)


def history(database: Path) -> Check:
    """Check the database file, if it exists."""
    check, where = "database", display_path(database)
    if not database.exists():
        return Check(
            "store", check, "unavailable", f"none yet at {where}; the first sweep creates it"
        )
    try:
        with Reader(database) as reader:
            newer = set(reader.migrations()) - set(MIGRATIONS)
        if newer:
            detail = (
                f"{where} was written by a newer vlmsweep ({max(newer)}): this one can read it,"
            )
            return Check("store", check, "problem", f"{detail} and writes no more to it. Upgrade")
        return quick_check(database)
    except DatabaseError as error:
        return Check("store", check, "problem", error.message)
    except (OSError, sqlite3.Error) as error:
        return Check("store", check, "problem", f"{where}: {error}")


def supervisor(database: Path) -> Check:
    """Check whether a supervisor uses the database now; a file lock allows only one."""
    check = "one supervisor"
    if not has_supervisor(database):
        return Check("store", check, "ok", "no supervisor uses the database now")
    pid = lock.lock_owner_pid(database)
    who = f"process {pid}" if pid else "an unknown process"
    detail = f"{who} uses the database now: new sweeps go into its queue"
    return Check("store", check, "ok", detail)


def quick_check(database: Path) -> Check:
    """Run quick_check, for at most CHECK_S seconds."""
    where, began = display_path(database), time.monotonic()
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > began + CHECK_S, 100_000)
        try:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            detail = f"{where} is too large to be checked within {CHECK_S:g} s"
            return Check("store", "database", "unavailable", detail)
    if found != "ok":
        return Check("store", "database", "problem", f"{where} is damaged: {found}")
    detail = f"quick_check ok: {units.size(database.stat().st_size)} at {where}"
    return Check("store", "database", "ok", detail)

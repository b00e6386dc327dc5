"""Is the database's place good for one: room, rights, SQLite itself, and the file's own health.

The user's database is only read. Writing is tried in a folder beside it, which is removed.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..database import lock
from ..database.migrations import NAMES
from ..database.reader import Reader
from ..errors import DatabaseError
from ..text import units
from ..text.sanitize import display_path
from .check import Check, state_of

LOW_BYTES = 1_000_000_000
CHECK_S = 30.0
STRICT_SINCE = (3, 37, 0)
Version = tuple[int, ...]


def checks(database: Path) -> Iterator[Check]:
    """The place, the library and the file."""
    place = nearest_existing(database.parent)
    yield check_disk_space(place)
    yield check_sqlite_version()
    yield wal(place)
    yield wal_reset(sqlite3.sqlite_version_info)
    yield history(database)
    if database.exists():
        yield supervisor(database)


def nearest_existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def check_disk_space(place: Path) -> Check:
    """Free space."""
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Check("store", "disk", "problem", f"{display_path(place)}: {error.strerror}")
    said = f"{units.size(free)} free at {display_path(place)}"
    if free < LOW_BYTES:
        return Check("store", "disk", "problem", f"{said}: too little for a night")
    return Check("store", "disk", "in force", said)


def check_sqlite_version() -> Check:
    """The library this Python brings."""
    new = sqlite3.sqlite_version_info >= STRICT_SINCE
    said = sqlite3.sqlite_version if new else f"{sqlite3.sqlite_version}: 3.37 or newer is needed"
    return Check("store", "SQLite", state_of(new), said)


def wal(place: Path) -> Check:
    """A database of our kind at that place: written, read by another, and removed."""
    check, where = "write-ahead log", display_path(place)
    if not place.is_dir():
        return Check("store", check, "problem", f"{where} is no folder")
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
        said = f"does not work at {where} (a network share?): give a local place with --db"
        return Check("store", check, "problem", said)
    said = "works at the database's place: readers and the writer do not block each other"
    return Check("store", check, "in force", said)


def has_wal_reset_bug(version: Version) -> bool:
    """SQLite 3.7.0 to 3.51.2 have it, but for the backports 3.44.6 and 3.50.7 and their like.

    https://sqlite.org/wal.html#walresetbug
    """
    mended = (version[:2] == (3, 50) and version >= (3, 50, 7)) or (
        version[:2] == (3, 44) and version >= (3, 44, 6)
    )
    return (3, 7, 0) <= version[:3] < (3, 51, 3) and not mended


def wal_reset(version: Version) -> Check:
    """It needs two connections that write or checkpoint at the same moment; ours is one."""
    check = "WAL-reset fix"
    if not has_wal_reset_bug(version):
        return Check("store", check, "in force", "this SQLite is free of the WAL-reset bug")
    said = "this SQLite has the bug (fixed in 3.51.3). It takes two connections that write or"
    said += " checkpoint at once: vlmsweep has one, and its readers can do neither. Let no other"
    said += " program write to the database while a sweep runs"
    return Check("store", check, "not here", said)


def history(database: Path) -> Check:
    """The user's own file, if it is there."""
    check, where = "database", display_path(database)
    if not database.exists():
        return Check("store", check, "not here", f"none yet at {where}; the first sweep makes it")
    try:
        with Reader(database) as reader:
            newer = set(reader.migrations()) - set(NAMES)
        if newer:
            said = f"{where} was written by a newer vlmsweep ({max(newer)}): this one can read it,"
            return Check("store", check, "problem", f"{said} and writes no more to it. Upgrade")
        return quick_check(database)
    except DatabaseError as error:
        return Check("store", check, "problem", error.message)
    except (OSError, sqlite3.Error) as error:
        return Check("store", check, "problem", f"{where}: {error}")


def supervisor(database: Path) -> Check:
    """Who works on the database now. One may; the system's lock sees to that."""
    check = "one supervisor"
    if not lock.is_locked(database):
        return Check("store", check, "in force", "nobody works on the database now")
    pid = lock.lock_owner_pid(database)
    who = f"process {pid}" if pid else "a process that cannot be named"
    said = f"{who} works on the database now: what is to be run goes into its queue"
    return Check("store", check, "in force", said)


def quick_check(database: Path) -> Check:
    """SQLite's own look at every page, within a time."""
    where, began = display_path(database), time.monotonic()
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > began + CHECK_S, 100_000)
        try:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            said = f"{where} is too large to be checked within {CHECK_S:g} s"
            return Check("store", "database", "not here", said)
    if found != "ok":
        return Check("store", "database", "problem", f"{where} is damaged: {found}")
    said = f"quick_check ok: {units.size(database.stat().st_size)} at {where}"
    return Check("store", "database", "in force", said)

"""The lock file of a database. Whether it is held: `runner.database.liveness`.

The pid in the file is for messages only. Nothing goes by it: a file outlives its writer, and
the lock does not. Taking the lock is `runner.database.store`'s.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil


def canonical_path(database: Path) -> Path:
    """A database's path with links resolved; its lock file and folder are named by it."""
    return Path(os.path.realpath(database))


def lock_file(database: Path) -> Path:
    """The lock file of a database, in the same folder; its supervisor holds the lock."""
    place = canonical_path(database)
    return place.with_name(place.name + ".lock")


def write_pid(database: Path) -> None:
    """Writes our number into the lock's file, which we hold. A full disk is no reason to stop."""
    with suppress(OSError):
        lock_file(database).write_text(f"{os.getpid()}\n")


def lock_owner_pid(database: Path) -> int | None:
    """The pid of the last lock holder, if it is running; None when unknown."""
    try:
        pid = int(lock_file(database).read_text()[:20])
    except (OSError, ValueError):
        return None
    return pid if psutil.pid_exists(pid) else None

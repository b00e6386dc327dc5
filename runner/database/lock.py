"""Who works on a database now: the system's lock says whether, the lock's file says who.

The number in the file is for people alone. Nothing goes by it: a file outlives its writer, and
the lock does not. Taking the lock is `runner.database.store`'s.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import psutil


def canonical_path(database: Path) -> Path:
    """A database's one true path, whatever links lead to it; all that lies beside it goes by it."""
    return Path(os.path.realpath(database))


def lock_file(database: Path) -> Path:
    """The file beside a database that its supervisor holds locked."""
    place = canonical_path(database)
    return place.with_name(place.name + ".lock")


def write_pid(database: Path) -> None:
    """Writes our number into the lock's file, which we hold. A full disk is no reason to stop."""
    with suppress(OSError):
        lock_file(database).write_text(f"{os.getpid()}\n")


def is_locked(database: Path) -> bool:
    """Whether somebody works on it now."""
    try:
        descriptor = os.open(lock_file(database), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def lock_owner_pid(database: Path) -> int | None:
    """The process that signed last, if it lives; None when that cannot be known."""
    try:
        pid = int(lock_file(database).read_text()[:20])
    except (OSError, ValueError):
        return None
    return pid if psutil.pid_exists(pid) else None

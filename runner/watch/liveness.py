"""Tests whether a supervisor is running, without disturbing it.

A supervisor locks a file next to its database; the system releases the lock when the process exits.
Nothing here blocks.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..database.lock import lock_file


def has_supervisor(database: Path) -> bool:
    """Return whether a process holds the write lock of the database.

    Where the lock is not listed, it is taken shared for a moment: a supervisor that starts at this
    very moment could fail, so call this rarely.
    """
    try:
        descriptor = os.open(lock_file(database), os.O_RDONLY)
    except OSError:
        return False
    try:
        if lock_in_proc(os.fstat(descriptor)):
            return True
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_in_proc(lock: os.stat_result) -> bool:
    """Whether Linux lists the lock as held; no proof that it is not."""
    device = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
    try:
        rows = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any(row.split()[1:2] == ["FLOCK"] and device in row.split() for row in rows)

"""Whether a supervisor lives, asked of the system without getting in its way.

A supervisor holds a lock on a file beside its database; the system takes it back when the process
is gone, however that ended. Nothing here waits.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..database.lock import lock_file


def has_supervisor(database: Path) -> bool:
    """Whether some process holds the right to write to the database.

    Asked as a reader would, for a moment: only where a supervisor starts at that very moment could
    this be noticed, which is why it is asked rarely.
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

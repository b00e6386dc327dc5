"""Whether a supervisor works on a database now, and since when one is gone. Nothing here blocks.

A supervisor holds a lock on a file next to its database; the system releases it when the process
ends, however it ends. Every reader that shows the state `running` asks `gone_since`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from schemas.states import SweepState

from ..system.timestamps import format_timestamp
from .file_names import lock_file

GONE = "supervisor_gone"  # the state shown for `running` without a supervisor
WRITTEN = """
SELECT max(started_at, ifnull(ended_at, started_at),
    (SELECT ifnull(max(max(started_at, ifnull(ended_at, started_at))), '') FROM runs
        WHERE worker_id = workers.id)) AS moment,
    started_at, (SELECT max(at_s) FROM memory_samples WHERE worker_id = workers.id) AS sampled_s
FROM workers WHERE sweep_id = ? ORDER BY number DESC LIMIT 8
"""


class SweepSource(Protocol):
    """The parts of a reader that are used here."""

    path: Path

    def records(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""


def has_supervisor(database: Path) -> bool:
    """Whether a process holds the write lock of the database; True where that cannot be known.

    Where the lock is not listed, it is taken shared for a moment: a supervisor that starts at this
    very moment could fail, so call this rarely.
    """
    try:
        descriptor = os.open(lock_file(database), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return lock_in_proc(lock_file(database))
    try:
        if lock_in_proc(lock_file(database)):
            return True
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_in_proc(lock: Path) -> bool:
    """Whether Linux lists the lock as held; no proof that it is not."""
    try:
        found = lock.stat()
        rows = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return any(row.split()[1:2] == ["FLOCK"] and device in row.split() for row in rows)


def gone_since(reader: SweepSource, sweep: Mapping[str, Any]) -> str | None:
    """When the supervisor of a sweep in state `running` wrote last, if it is gone; else None.

    `sweep` is a row of `sweeps`.
    """
    if sweep["state"] != SweepState.RUNNING or has_supervisor(reader.path):
        return None
    return last_written_at(reader, sweep)


def last_written_at(reader: SweepSource, sweep: Mapping[str, Any]) -> str:
    """The latest time stored for a sweep: of its start, its workers, runs and memory samples."""
    moments = [sweep["started_at"] or sweep["created_at"]]
    for row in reader.records(WRITTEN, sweep["id"]):
        moments.append(row["moment"])
        if row["sampled_s"] is not None:
            sampled = datetime.fromisoformat(row["started_at"])
            moments.append(format_timestamp(sampled + timedelta(seconds=row["sampled_s"])))
    return str(max(moments))

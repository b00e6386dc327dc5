"""Processes that a database's supervisor started."""

from __future__ import annotations

from pathlib import Path

import psutil

from runner.database import recovery


def gone(database: Path) -> bool:
    """Whether no process carries the database's mark any more."""
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(recovery.MARK) == str(database)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                return False
        except (psutil.Error, OSError):
            continue
    return True

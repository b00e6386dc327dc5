"""Waiting for processes and conditions."""

from __future__ import annotations

import time
from collections.abc import Callable
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


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for a condition, and fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)

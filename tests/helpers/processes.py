"""Processes that a database's supervisor started."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from runner.database.stale_processes import marked_processes, read_marker


def gone(database: Path) -> bool:
    """Whether no process carries the database's mark any more."""
    with closing(sqlite3.connect(database)) as connection:
        return not marked_processes(read_marker(connection, database))

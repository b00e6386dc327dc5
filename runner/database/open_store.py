"""Opens the database to write it: held by us alone, what a dead supervisor left put right first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas import stream
from schemas.stream import EventSink

from ..errors import DatabaseError
from . import recovery
from .store import Store


@contextmanager
def open_store(database: Path, emit: EventSink, wait_s: float = 0.0) -> Iterator[Store]:
    """The database, held by us alone. Raises DatabaseError when it cannot be opened, or fails."""
    store = Store(database, wait_s)
    try:
        left = recovery.recover(store)
        if left.processes or left.runs:
            emit(stream.DatabaseRecovered(processes=left.processes, runs=left.runs, jobs=left.jobs))
        yield store
    except sqlite3.Error as error:
        raise DatabaseError(
            f"{database} failed: {error}",
            hint="finished runs are saved; check the disk, then run `vlmsweep resume`",
        ) from error
    finally:
        store.close()

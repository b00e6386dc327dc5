"""Looks on while a supervisor works: reads the database, asks nothing of the supervisor.

What is seen is told as the events of `schemas.stream`, so that the views of `run` show it. Nothing
here writes, and no lock is held between two looks.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from schemas.stream import EventSink

from ..database.reader import Reader
from .watcher import Watcher

LOOK_EVERY_S = 0.3


def watch_database(
    database: Path,
    emit: EventSink,
    named: str | None = None,
    *,
    once: bool = False,
    gone: Callable[[], bool] = lambda: False,
) -> None:
    """Tells what goes on until Ctrl-C, or until the sweep `named` ended; `once`, what there is.

    `gone` says whether the reader of it all has left. Raises QueryError for an unknown sweep and
    DatabaseError where a sweep is named and there is no database of ours.
    """
    uid = None
    if named is not None:
        with Reader(database) as reader:
            uid = str(reader.sweep(named)["uid"])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the screen is given back
    watcher = Watcher(database, emit, uid, waits=not once)
    with suppress(KeyboardInterrupt):
        try:
            while watcher.poll() and not once and not gone():
                time.sleep(LOOK_EVERY_S)
        finally:
            watcher.close()

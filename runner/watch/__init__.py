"""Watches a supervisor by reading its database.

Changes are emitted as the events of `schemas.stream`, so that the views of `run` can show them.
Nothing is written, and no lock is held between two polls.
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
    """Emit events until Ctrl-C, or until the sweep `named` has ended; with `once`, the current
    state.

    `gone` returns whether the reader of the output has left. Raises QueryError for an unknown
    sweep, and DatabaseError if a sweep is named and the database does not exist.
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

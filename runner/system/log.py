"""Diagnostic logging of the supervisor: silent unless a level or a file is given.

Records go through a bounded queue to a thread, which writes them: the event loop never waits for
a slow disk. When the queue is full, records are dropped and counted. Every line is redacted.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from schemas.shared.redact import redact

from ..errors import VlmsweepError

ROOT = "runner"
LEVELS = ("debug", "info", "warning", "error")
LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
QUEUE_RECORDS = 10_000
STOP_TIMEOUT_S = 2.0

logging.getLogger(ROOT).addHandler(logging.NullHandler())


def get_logger(name: str) -> logging.Logger:
    """Return a module's logger. Without `log_to`, and unless the caller configures `logging`,
    nothing is printed."""
    return logging.getLogger(name)


class LineFormatter(logging.Formatter):
    """One redacted line per record, in UTC; a traceback follows, indented."""

    def __init__(self) -> None:
        super().__init__(LINE, "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Format and redact a record; text from workers must not look like another record."""
        return redact(super().format(record)).replace("\n", "\n    ")


class DroppingQueueHandler(logging.handlers.QueueHandler):
    """Puts records into a queue, and drops them while it is full."""

    def __init__(self, records: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__(records)
        self.records = records
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a record without waiting; the next one that fits reports how many were dropped."""
        try:
            if self.dropped:
                self.records.put_nowait(self.dropped_record())
                self.dropped = 0
            self.records.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def dropped_record(self) -> logging.LogRecord:
        """Return a warning that records are missing from the log."""
        message = f"{self.dropped} log records were dropped: the log could not be written in time"
        return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)


class Listener(logging.handlers.QueueListener):
    """Writes queued records in a thread."""

    def __init__(
        self, records: queue.Queue[logging.LogRecord | None], target: logging.Handler
    ) -> None:
        super().__init__(records, target)
        self.records = records

    def enqueue_sentinel(self) -> None:
        """Mark the end of the queue, after the records in it."""
        self.records.put(None)

    def stop_within(self, timeout_s: float) -> bool:
        """Write what is queued; return False if the log could not be written in time."""
        stopping = threading.Thread(target=self.stop, daemon=True)
        stopping.start()
        stopping.join(timeout_s)
        return not stopping.is_alive()


class QuietFileHandler(logging.FileHandler):
    """A file of records; a full disk costs the log, never the sweep."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.failed = False

    def close(self) -> None:
        """Close the file; what could not be written is lost."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:
        """Report the first failure on standard error, without a traceback."""
        if not self.failed:
            self.failed = True
            print(f"cannot write the log {self.baseFilename}: {sys.exc_info()[1]}", file=sys.stderr)


def open_target(path: Path | None) -> logging.Handler:
    """Return the handler for a file, or for standard error. Raises VlmsweepError."""
    if path is None:
        return logging.StreamHandler(sys.stderr)
    try:
        return QuietFileHandler(path.expanduser())
    except OSError as error:
        raise VlmsweepError(
            f"cannot write the log {path}: {error.strerror or error}",
            hint="set VLMSWEEP_LOG to another file, or unset it",
        ) from error


@contextmanager
def log_to(target: logging.Handler, level: str) -> Iterator[None]:
    """Log records of `level` and above to a handler; flushes and closes it at the end."""
    target.setFormatter(LineFormatter())
    records: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUE_RECORDS)
    handler, listener = DroppingQueueHandler(records), Listener(records, target)
    root = logging.getLogger(ROOT)
    before = root.level
    root.setLevel(level.upper())
    root.addHandler(handler)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()
        if listener.stop_within(STOP_TIMEOUT_S):
            target.close()

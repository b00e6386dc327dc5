"""A text stream whose writes never wait: a thread passes them on to the real stream.

Standard output may stop reading at any time: a full pipe, Ctrl-S, a dead ssh connection. A write
that waits for it would stop the event loop. Unwritten text is counted in `pending`, so
that a sink decides what to leave out; errors of the stream are raised by the next write.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from typing import TextIO

PIECE = 4096  # small, so that a slow reader counts as one that reads
PENDING_LIMIT = 8 << 20


class BackgroundWriter:
    """Writes text to a stream's file descriptor in a thread; `close_within` ends it.

    It has what a console and the sinks use of a text stream.
    """

    def __init__(self, stream: TextIO) -> None:
        """Raises OSError or ValueError for a stream without a file descriptor."""
        self.fd = stream.fileno()
        stream.flush()
        self.target = stream
        self.encoding = stream.encoding or "utf-8"
        self.queued = bytearray()
        self.error: OSError | None = None
        self.ending = False
        self.written_at = time.monotonic()
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._write_all, name="output", daemon=True)
        self.thread.start()

    @property
    def pending(self) -> int:
        """Bytes that wait to be written."""
        return len(self.queued)

    def fileno(self) -> int:
        """The file descriptor of the stream, for the size of a terminal."""
        return self.fd

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self.target.isatty()

    def write(self, text: str) -> int:
        """Queue text. Never waits. Raises the OSError that an earlier write met."""
        with self.changed:
            if self.error is not None:
                raise self.error
            if not self.queued:
                self.written_at = time.monotonic()
            self.queued += text.encode(self.encoding, "backslashreplace")
            self.changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Nothing: the thread writes at once."""

    def close_within(self, stalled_s: float | None) -> bool:
        """Write what is queued; give up when nothing was read for `stalled_s` seconds.

        None waits without limit. False if something was not written, or the stream failed; the
        thread may then still hang in its last write.
        """
        with self.changed:
            self.ending = True
            self.changed.notify_all()
            while self.queued and self.error is None:
                self.changed.wait(0.1)  # a limit, so that Ctrl-C is handled
                stalled = time.monotonic() - self.written_at
                if stalled_s is not None and self.queued and stalled > stalled_s:
                    self.error = TimeoutError(None, "it is not being read")
            return self.error is None

    def _write_all(self) -> None:
        while True:
            with self.changed:
                while not self.queued and not self.ending:
                    self.changed.wait()
                if not self.queued or self.error is not None:
                    return
                piece = bytes(self.queued[:PIECE])
            try:
                count = os.write(self.fd, piece)
            except BlockingIOError:  # another process made the pipe non-blocking
                select.select([], [self.fd], [], 1.0)
                continue
            except OSError as error:
                self._fail(error)
                return
            with self.changed:
                self.written_at = time.monotonic()
                del self.queued[:count]
                self.changed.notify_all()

    def _fail(self, error: OSError) -> None:
        with self.changed:
            self.error = error
            self.queued.clear()
            self.changed.notify_all()


def is_behind(stream: object, limit: int | None = None) -> bool:
    """Whether more than `limit` bytes wait to be written; never for an ordinary stream."""
    limit = PENDING_LIMIT if limit is None else limit
    return isinstance(stream, BackgroundWriter) and stream.pending > limit


def try_write(stream: TextIO, text: str) -> None:
    """Write a short note to a stream, unless that would wait or fail."""
    with suppress(OSError, ValueError):
        try:
            writer = BackgroundWriter(stream)
        except (OSError, ValueError):  # no file behind it, as in a notebook
            stream.write(text)
            return
        writer.write(text)
        writer.close_within(0.5)

"""The file into which a hung worker's Python stack is written before its kill."""

from __future__ import annotations

from pathlib import Path

STACK_BYTES = 20_000


class StackDump:
    """One worker's stack file. It is complete when it grew, and then stopped growing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = self.size_before_dump = 0
        self.checked_at = 0.0

    def begin(self, now: float) -> None:
        """Note the size before requesting the worker's stack."""
        self.size = self.size_before_dump = self.current_size()
        self.checked_at = now

    def current_size(self) -> int:
        """Return the size of the file, bytes."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def is_complete(self, now: float) -> bool:
        """Return whether the file has grown, but not since the last call."""
        before, self.size = self.size, self.current_size()
        self.checked_at = now
        return self.size == before > self.size_before_dump

    def take(self) -> str | None:
        """Return the end of the file, at most STACK_BYTES, and delete it; None if it is empty."""
        try:
            stack = self.path.read_bytes()[-STACK_BYTES:].decode("utf-8", "replace")
            self.path.unlink()
        except OSError:
            return None
        return stack or None

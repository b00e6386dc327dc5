"""Logs when the event loop was kept busy for too long, which delays kills and requests."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..system.log import get_logger

STALL_S = 0.5

log = get_logger(__name__)


class StallTimer:
    """Measures the time between two waits of the event loop, in monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.awake_since: float | None = None

    def before_wait(self) -> None:
        """The loop is about to wait for events."""
        if self.awake_since is None:
            return
        busy_s = self.clock() - self.awake_since
        if busy_s > STALL_S:
            log.warning("the event loop was busy for %.2f s (over %g s)", busy_s, STALL_S)

    def after_wait(self) -> None:
        """Events have arrived, or the wait timed out."""
        self.awake_since = self.clock()

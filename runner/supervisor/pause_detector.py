"""Detects that the supervisor itself stood still: Ctrl-Z, SIGSTOP, a debugger, a stalled disk.

Workers go on meanwhile, unread: their answers wait in the pipes, and the time does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_S = 2.0  # a shorter delay is ordinary work of the event loop


class PauseDetector:
    """Compares the time of each turn of the event loop with the time it wanted to wait.

    After SIGCONT (`was_continued`) the whole turn counts: when it was stopped is not known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.last = clock()
        self.was_continued = False

    def paused_s(self, wait_s: float) -> float:
        """Return the seconds lost since the last call, which then waited `wait_s`; 0 if few."""
        now = self.clock()
        lost_s = now - self.last - (0.0 if self.was_continued else wait_s)
        self.last, self.was_continued = now, False
        return lost_s if lost_s >= PAUSE_S else 0.0

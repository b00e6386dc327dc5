"""The end time of a supervisor, and the start times of sweeps.

Times are of the wall clock, which may be changed and stops while the machine sleeps, so they are
checked repeatedly. Durations come from `runner.database.estimates`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime

from ..database.estimates import Estimate, estimate
from ..system.timestamps import format_timestamp
from .queue import Queue, QueuedModel


class TimeWindow:
    """The current time and the end time. `over` is set when the end time is reached."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: Callable[[], datetime],
        until: datetime | None,
    ) -> None:
        self.connection, self.now, self.until = connection, now, until
        self.over = False

    def now_text(self) -> str:
        """Return the time in database format."""
        return format_timestamp(self.now())

    def expected(self, model: QueuedModel) -> Estimate:
        """Return the estimate for a model."""
        return estimate(self.connection, model.source, model.load.model)

    def has_ended(self) -> bool:
        """Return whether the end time is reached."""
        return self.until is not None and self.now() >= self.until

    def would_end_late(self, model: QueuedModel, loads: int) -> bool:
        """Return whether one more job, with this number of loads, would exceed the end time."""
        if self.until is None:
            return False
        takes = self.expected(model).takes_s(1, loads) or 0.0
        return (self.until - self.now()).total_seconds() <= takes

    def has_scheduled_sweep(self, queue: Queue) -> bool:
        """Return whether a sweep is scheduled to start before the end time."""
        next_one = queue.next_start_time(self.now_text())
        if next_one is None:
            return False
        return self.until is None or datetime.fromisoformat(next_one) < self.until

    def next_s(self, queue: Queue) -> float:
        """Seconds to the next hour that means something."""
        hours = [] if self.until is None or self.over else [self.until]
        if next_one := queue.next_start_time(self.now_text()):
            hours.append(datetime.fromisoformat(next_one))
        left = ((hour - self.now()).total_seconds() for hour in hours)
        return max(0.0, min(left, default=float("inf")))

"""The hours of a supervisor's work: until when it may begin something, and what is waited for.

Hours go by the clock of the day, which may be set and stands still while the machine sleeps, so
they are looked at again and again. What a model takes is `runner.database.estimates`' business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime

from ..database.estimates import Estimate, estimate
from ..system.timestamps import format_timestamp
from .queue import Queue, QueuedModel


class TimeWindow:
    """What time it is, and whether that is late. `over` once the hour has come."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: Callable[[], datetime],
        until: datetime | None,
    ) -> None:
        self.connection, self.now, self.until = connection, now, until
        self.over = False

    def now_text(self) -> str:
        """Now, as the database holds times."""
        return format_timestamp(self.now())

    def expected(self, model: QueuedModel) -> Estimate:
        """What history says of a model."""
        return estimate(self.connection, model.source, model.load.model)

    def has_ended(self) -> bool:
        """Whether the hour has come until which jobs may run."""
        return self.until is not None and self.now() >= self.until

    def too_late(self, model: QueuedModel, loads: int) -> bool:
        """Whether another job, with so many loads, would likely end after the hour."""
        if self.until is None:
            return False
        takes = self.expected(model).takes_s(1, loads) or 0.0
        return (self.until - self.now()).total_seconds() <= takes

    def has_scheduled_sweep(self, queue: Queue) -> bool:
        """Whether a sweep is held back by an hour that comes before ours."""
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

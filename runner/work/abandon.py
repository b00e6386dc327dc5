"""Gives a way to load a model up: what waits in it goes to the next way, or gets its last row.

Some jobs at a time, so that other workers are not left unattended meanwhile. When a way is given
up is the supervisor's decision.
"""

from __future__ import annotations

from typing import Any

from schemas.stream import StreamEvent, Tell

from ..database.store import Store
from .queue import Queue, QueuedModel
from .running import Running

AT_ONCE = 50


class Abandoned:
    """A way that is given up. `row` is what its jobs' runs say; `worker` and `number` of the last
    worker, or None."""

    def __init__(
        self,
        store: Store,
        tell: Tell,
        queue: Queue,
        model: QueuedModel,
        row: dict[str, Any],
        worker: int | None = None,
        number: int | None = None,
    ) -> None:
        self.store, self.tell, self.queue = store, tell, queue
        self.model, self.row, self.worker, self.number = model, row, worker, number

    def step(self) -> bool:
        """Takes the next few jobs; False when none is left."""
        jobs = self.queue.waiting(self.model.id, AT_ONCE)
        told: list[StreamEvent] = []
        way = self.model.next_way
        with self.store.db.atomic():
            for job in jobs:
                running = Running(
                    self.store, told.append, self.model, job, self.worker, self.number
                )
                running.fail(self.row, again=way is not None, way=way)
        for event in told:
            self.tell(event)
        return len(jobs) == AT_ONCE

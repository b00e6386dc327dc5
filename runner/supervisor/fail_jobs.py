"""Jobs that end without a worker: those of a way that is given up, and those that cannot be asked.

Some at a time, so that other workers are not left unattended meanwhile. They are listed when it
begins: what is queued again after that is not meant. When a way is given up is the supervisor's
decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.states import Outcome, Phase
from schemas.stream import EventSink, StreamEvent

from ..database.store import Store
from .queue import Queue, QueuedModel
from .run_recorder import RunRecorder

AT_ONCE = 50


class FailedBatch:
    """Some jobs of a model and the row they get; without a row, what is broken about each.

    They go to another `way` if one is given. `worker` and `number` are of the last worker, or None.
    """

    def __init__(
        self,
        store: Store,
        emit: EventSink,
        queue: Queue,
        model: QueuedModel,
        jobs: Sequence[int],
        row: dict[str, Any] | None,
        variant: int | None = None,
        worker: int | None = None,
        number: int | None = None,
    ) -> None:
        self.store, self.emit, self.queue = store, emit, queue
        self.model, self.row, self.variant = model, row, variant
        self.worker, self.number = worker, number
        self.left = list(reversed(jobs))

    def fail_next(self) -> bool:
        """Ends the next few jobs; False when none is left."""
        some = [self.left.pop() for _ in range(min(AT_ONCE, len(self.left)))]
        told: list[StreamEvent] = []
        with self.store.db.atomic():
            for job in self.queue.queued_among(some):
                running = RunRecorder(
                    self.store, told.append, self.model, job, self.worker, self.number
                )
                row = self.row or {
                    "outcome": Outcome.ERROR,
                    "phase": Phase.PREPARE,
                    **(job.broken or {}),
                }
                running.fail(dict(row), again=self.variant is not None, variant=self.variant)
        for event in told:
            self.emit(event)
        return bool(self.left)


def fail_unusable_images(
    store: Store, emit: EventSink, queue: Queue, sweep: int
) -> list[FailedBatch]:
    """A sweep's jobs with an image that could not be prepared, by model; the first few of each
    have ended already, and only what is more than that is returned."""
    found = [
        FailedBatch(store, emit, queue, model, jobs, None)
        for model, jobs in queue.jobs_with_bad_images(sweep)
    ]
    return [one for one in found if one.fail_next()]

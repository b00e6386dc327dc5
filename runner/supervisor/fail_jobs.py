"""Ends jobs without a worker: those of a failed variant, and those with unusable images.

Jobs end in batches, so that the event loop stays free. They are listed at the start: jobs that are
queued again later are not affected.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.rows import Runs
from schemas.states import Outcome, Phase
from schemas.stream import EventSink, StreamEvent

from ..database.store import Store
from .queue import Queue, QueuedModel
from .run_recorder import RunRecorder

AT_ONCE = 50


class FailedBatch:
    """Jobs of a model and the row that they get; without a row, each gets its image's error.

    They go to the fallback `variant` if one is given. `worker` and `number` identify the last
    worker.
    """

    def __init__(
        self,
        store: Store,
        emit: EventSink,
        queue: Queue,
        model: QueuedModel,
        jobs: Sequence[int],
        row: Runs | None,
        variant: int | None = None,
        worker: int | None = None,
        number: int | None = None,
    ) -> None:
        self.store, self.emit, self.queue = store, emit, queue
        self.model, self.row, self.variant = model, row, variant
        self.worker, self.number = worker, number
        self.left = list(reversed(jobs))

    def fail_next(self) -> bool:
        """End the next batch of jobs; False when none is left."""
        some = [self.left.pop() for _ in range(min(AT_ONCE, len(self.left)))]
        events: list[StreamEvent] = []
        with self.store.db.atomic():
            for job in self.queue.queued_among(some):
                running = RunRecorder(
                    self.store, events.append, self.model, job, self.worker, self.number
                )
                unusable: Runs = {"outcome": Outcome.ERROR, "phase": Phase.PREPARE}
                row = self.row or unusable | (job.broken or {})
                running.fail(row, again=self.variant is not None, variant=self.variant)
        for event in events:
            self.emit(event)
        return bool(self.left)


def fail_unusable_images(
    store: Store, emit: EventSink, queue: Queue, sweep: int
) -> list[FailedBatch]:
    """End a sweep's jobs whose images could not be prepared.

    The first batch of each model ends at once; the rest is returned.
    """
    found = [
        FailedBatch(store, emit, queue, model, jobs, None)
        for model, jobs in queue.jobs_with_bad_images(sweep)
    ]
    return [one for one in found if one.fail_next()]

"""Decides what a failed model's jobs become: they wait, use the fallback, or fail.

`runner.supervisor.supervisor` reports failed loads and lost workers; the retry policy is in
`runner.supervisor.retry_policy`, the time a server may be away in `runner.supervisor.server_away`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from schemas import stream
from schemas.rows import Runs
from schemas.states import Outcome

from ..database.store import Store
from ..system.log import get_logger
from . import outcome, retry_policy, server_away
from .fail_jobs import FailedBatch, fail_unusable_images
from .queue import Queue, QueuedModel
from .sweep_session import SweepSession
from .worker_controller import WorkerController

log = get_logger(__name__)


class ModelFailures:
    """Models that rest, and batches of jobs that end without a worker.

    `resting` maps a variant to when it may load again, in monotonic seconds.
    """

    def __init__(self, store: Store, queue: Queue, sessions: Mapping[int, SweepSession]) -> None:
        self.store, self.queue, self.sessions = store, queue, sessions
        self.batches: list[FailedBatch] = []
        self.resting: dict[int, float] = {}

    def is_blocked(self, model: QueuedModel) -> bool:
        """Return whether a model rests, or its jobs are being failed."""
        if model.id in self.resting:
            return True
        return any(batch.model.first == model.first for batch in self.batches)

    def fail_next(self) -> None:
        """End the next jobs of each batch."""
        self.batches = [batch for batch in self.batches if batch.fail_next()]

    def fail_unusable_images(self, sweep: int) -> None:
        """End a sweep's jobs whose images are unusable."""
        emit = self.sessions[sweep].emit
        self.batches += fail_unusable_images(self.store, emit, self.queue, sweep)

    def end_rests(self, now: float) -> None:
        """Let models load again whose rest is over."""
        self.resting = {variant: until for variant, until in self.resting.items() if until > now}

    def on_load_failure(self, controller: WorkerController, row: Runs) -> None:
        """Retry a failed load, use the fallback, or fail the jobs."""
        model = controller.model
        if controller.server.unavailable and server_away.was_reached(self.store, model):
            self.rest(controller, row)
            return
        row = outcome.for_other_jobs(row)
        if (pause_s := retry_policy.retry_load_after_s(self.store, model, row)) is not None:
            self.resting[model.id] = time.monotonic() + pause_s
            log.info("%s: loading again in %g s", model.name, pause_s)
        else:
            self.fail_remaining(model, row, model.next_variant, controller.row, controller.number)

    def rest(self, controller: WorkerController, row: Runs) -> None:
        """The model's server cannot answer: its jobs stay queued for a while, or are given up."""
        model = controller.model
        pause_s = server_away.rest_s(self.store, model, controller.server.retry_after_s)
        if pause_s is None:
            row = outcome.for_other_jobs(row)
            self.fail_remaining(model, row, model.next_variant, controller.row, controller.number)
            return
        self.resting[model.id] = time.monotonic() + pause_s
        reason = row.get("message") or "the server cannot answer"
        log.warning("%s: asking its server again in %g s: %s", model.name, pause_s, reason)
        emit = self.sessions[model.sweep].emit
        emit(stream.ModelResting(model=model.name, reason=reason, retry_in_s=pause_s))

    def quarantine(self, model: QueuedModel, failures: int, last: str | None) -> None:
        """Use the fallback, or skip a model's jobs, after too many lost workers."""
        log.warning("%s lost %d workers in a row", model.name, failures)
        if model.next_variant is not None:
            log.info("%s: all jobs go to fallback %d", model.name, model.next_variant)
            self.store.move_to_fallback(model.id, model.next_variant)
            return
        why = f"skipped after {failures} workers were lost in a row, the last: {last}"
        row: Runs = {"outcome": Outcome.SKIPPED, "error_class": "quarantined", "message": why}
        jobs = self.queue.count(model.id)
        emit = self.sessions[model.sweep].emit
        emit(stream.Quarantined(model=model.name, jobs=jobs, message=why))
        self.fail_remaining(model, row)

    def fail_remaining(
        self,
        model: QueuedModel,
        row: Runs,
        variant: int | None = None,
        worker: int | None = None,
        number: int | None = None,
    ) -> None:
        """Move a variant's queued jobs to the fallback, or fail them."""
        jobs, emit = self.queue.queued_job_ids(model.id), self.sessions[model.sweep].emit
        to = "fail" if variant is None else f"go to fallback {variant}"
        log.info("%s: %d jobs %s: %s", model.name, len(jobs), to, row.get("message"))
        self.batches.append(
            FailedBatch(self.store, emit, self.queue, model, jobs, row, variant, worker, number)
        )

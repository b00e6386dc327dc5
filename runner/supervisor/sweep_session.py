"""One sweep in a supervisor: stores and emits its start, counts and end."""

from __future__ import annotations

import time
from dataclasses import replace

from schemas import stream
from schemas.states import SweepState
from schemas.stream import EventSink

from ..database.store import Store
from ..system.log import get_logger
from ..watch.job_counts import JobCounts
from ..watch.queries import WatchQueries
from .queue import QueuedModel

log = get_logger(__name__)


class SweepSession:
    """One sweep, from its first worker to its last. `why` is the last error message, by model."""

    def __init__(self, store: Store, emit: EventSink, sweep: int) -> None:
        self.store, self.sweep = store, sweep
        self.emit_all = emit
        self.began = time.monotonic()
        self.uid, self.name, self.in_queue = store.connection.execute(
            "SELECT uid, name, in_queue FROM sweeps WHERE id = ?", [sweep]
        ).fetchone()
        self.folder = store.folder(f"logs/{self.uid}")
        self.why: dict[int, str | None] = {}
        self.announced_variants: set[int] = set()
        self.state = SweepState.QUEUED
        self.ended = False

    def emit(self, event: stream.StreamEvent) -> None:
        """Emit an event with the sweep's uid: several sweeps may run."""
        if isinstance(event, stream.SweepScopedEvent):
            event = replace(event, sweep=self.uid)
        self.emit_all(event)

    def begin(self) -> None:
        """Emit the sweep's models and jobs."""
        self.state = SweepState.RUNNING
        self.store.set_sweep_state(self.sweep, self.state)
        log.info("sweep %s started", self.uid)
        jobs = dict(
            self.store.connection.execute(
                "SELECT name, (SELECT count(*) FROM jobs WHERE sweep_model_id = sweep_models.id"
                " AND state = 'queued') AS jobs FROM sweep_models WHERE sweep_id = ?"
                " AND fallback_of IS NULL AND jobs > 0 ORDER BY rank, position",
                [self.sweep],
            )
        )
        self.emit(
            stream.SweepStarted(
                sweep=self.uid,
                name=self.name,
                database=str(self.store.path),
                models=list(jobs),
                jobs=sum(jobs.values()),
                jobs_by_model=jobs,
            )
        )

    def recount(self) -> None:
        """Emit job counts, after jobs were added, retried or removed."""
        questions = WatchQueries()
        questions.connect(self.store.connection)
        counts = JobCounts(questions, self.sweep)
        counts.refresh()
        jobs, outcomes = counts.snapshot()
        self.emit(
            stream.JobCountsChanged(sweep=self.uid, jobs_by_model=jobs, outcomes_by_model=outcomes)
        )

    def announce_fallback(self, model: QueuedModel, jobs: int) -> None:
        """Emit, once, that a model continues with a fallback."""
        if model.id == model.first or model.id in self.announced_variants:
            return
        self.announced_variants.add(model.id)
        to = f"{model.load.model} ({model.load.engine})"
        why = self.why.get(model.first)
        self.emit(
            stream.FallbackStarted(model=model.name, fallback_model=to, jobs=jobs, reason=why)
        )

    def end(self) -> None:
        """End the sweep: every job has its outcome."""
        self.close(SweepState.DONE)

    def stop(self) -> None:
        """End the session early; the queue or `resume` runs the remaining jobs."""
        if not self.ended:
            self.close(SweepState.QUEUED if self.in_queue else SweepState.INTERRUPTED)

    def close(self, state: SweepState) -> None:
        """Store the state, then emit the end."""
        self.state, self.ended = state, True
        log.info("sweep %s ended: %s", self.uid, state)
        self.store.set_sweep_state(self.sweep, state)
        ok, failed, unusable, skipped, waiting = self.store.connection.execute(
            "SELECT sum(ok), sum(failed), sum(unusable_images), sum(skipped), sum(waiting)"
            " FROM summary"
            " WHERE sweep_id = ?",
            [self.sweep],
        ).fetchone()
        self.emit(
            stream.SweepFinished(
                sweep=self.uid,
                state=state,
                ok=ok,
                failed=failed,
                unusable_images=unusable,
                skipped=skipped,
                waiting=waiting,
                elapsed_s=time.monotonic() - self.began,
            )
        )

"""Follows one running sweep."""

from __future__ import annotations

import time
from collections.abc import Iterable

from schemas import stream
from schemas.states import Outcome
from schemas.stream import EventSink

from ..system.timestamps import seconds_since
from .job_counts import JobCounts
from .queries import Row, WatchQueries
from .run_poller import RunPoller
from .worker_poller import WorkerPoller

RECOUNT_SHARE = 0.01  # maximum share of time for counting all jobs


class SweepFollower:
    """One running sweep, and the events that were emitted for it."""

    def __init__(self, questions: WatchQueries, emit: EventSink, sweep: Row, database: str) -> None:
        self.emit, self.id, self.uid = emit, int(sweep["id"]), str(sweep["uid"])
        self.name, self.database = sweep["name"], database
        self.title = str(self.name or self.uid)
        self.questions = questions
        self.counts = JobCounts(questions, self.id)
        self.workers = WorkerPoller(questions, emit, self.uid, self.counts)
        self.runs = RunPoller(questions, emit, self.uid, self.counts, self.workers)
        self.recount_at = 0.0
        self.stale = False

    def join(self, sweep: Row) -> None:
        """Emit the sweep's current state, with its live workers and current runs."""
        self.recount(emit=False)
        jobs, outcomes = self.counts.snapshot()
        self.emit(
            stream.SweepStarted(
                sweep=self.uid,
                name=self.name,
                database=self.database,
                models=list(jobs),
                jobs=sum(jobs.values()),
                jobs_by_model=jobs,
                outcomes_by_model=outcomes,
                seconds_per_run_by_model=self.counts.pace(),
                elapsed_s=seconds_since(sweep["started_at"]),
            )
        )
        self.workers.join()
        self.runs.join()

    def poll(self, new_runs: Iterable[Row], caught_up: bool) -> None:
        """Emit changes. Unless `caught_up`, more new runs than these are waiting."""
        self.workers.look()
        self.runs.look()
        self.workers.emit_exits()
        self.workers.look_for_new()
        self.runs.take(new_runs)
        self.workers.emit_exits()
        self.stale = True
        if caught_up and self.due():
            self.recount()

    def due(self) -> bool:
        """Return whether jobs changed since the last count, and a new count is affordable."""
        return self.stale and time.monotonic() >= self.recount_at

    def recount(self, emit: bool = True) -> None:
        """Count the jobs; emit the counts if they changed."""
        began = time.monotonic()
        differs = self.counts.refresh()
        now = time.monotonic()
        self.recount_at, self.stale = now + (now - began) / RECOUNT_SHARE, False
        if emit and differs:
            jobs, outcomes = self.counts.snapshot()
            self.emit(
                stream.JobCountsChanged(
                    sweep=self.uid, jobs_by_model=jobs, outcomes_by_model=outcomes
                )
            )

    def end(self, sweep: Row) -> None:
        """Emit the end of the sweep."""
        self.recount()
        done = sum(sum(of.values()) for of in self.counts.outcomes.values())
        ok, skipped = self.counts.of(Outcome.OK), self.counts.of(Outcome.SKIPPED)
        unusable = self.questions.unusable_images(sweep["id"])
        self.emit(
            stream.SweepFinished(
                sweep=self.uid,
                state=sweep["state"],
                ok=ok,
                failed=done - ok - skipped - unusable,
                unusable_images=unusable,
                skipped=skipped,
                waiting=sum(self.counts.jobs.values()) - done,
                elapsed_s=seconds_since(sweep["started_at"], sweep["ended_at"]),
            )
        )

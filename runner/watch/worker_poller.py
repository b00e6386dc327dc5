"""Emits events for a sweep's workers.

A kill is visible only when it is complete, because the supervisor stores it then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas import stream
from schemas.stream import EventSink

from ..system.timestamps import seconds_since
from .job_counts import JobCounts
from .queries import Row, WatchQueries


@dataclass(slots=True)
class TrackedWorker:
    """A live worker, and the state that was emitted for it."""

    number: int
    variant: int
    model: str
    started: bool = False
    loaded: bool = False
    phase: str = "start"
    waiting_for: str | None = None
    sampled: float = -1.0
    peak: int | None = None


@dataclass(slots=True)
class WorkerPoller:
    """The workers of one sweep."""

    questions: WatchQueries
    emit: EventSink
    uid: str
    counts: JobCounts
    alive: dict[int, TrackedWorker] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    newest: int = 0
    variant_of: dict[str, int] = field(default_factory=dict)

    def join(self) -> None:
        """Emit the live workers."""
        self.newest = self.questions.newest_worker(self.counts.sweep)
        for row in self.questions.open_workers(self.counts.sweep):
            self.add(row)
        self.look()

    def look_for_new(self) -> None:
        """Emit workers that have started."""
        for row in self.questions.new_workers(self.counts.sweep, self.newest):
            self.newest = row["number"]
            self.add(row)
            self.look_at(self.alive[row["id"]], row)

    def look(self) -> None:
        """Emit changes of live workers, except exits."""
        for row in self.questions.workers(self.alive):
            self.look_at(self.alive[row["id"]], row)

    def emit_exits(self) -> None:
        """Emit exits, after the ends of their runs."""
        for row in self.questions.workers(list(self.alive)):
            if row["ended_at"] is None:
                continue
            seen = self.alive.pop(row["id"])
            self.emit(
                stream.WorkerEnded(
                    sweep=self.uid,
                    worker=seen.number,
                    model=seen.model,
                    exit_code=row["exit_code"],
                    exit_signal=row["exit_signal"],
                    killed_for=row["killed_for"],
                    kill_s=row["kill_s"],
                    peak_rss_bytes=row["peak_rss_bytes"],
                )
            )

    def add(self, row: Row) -> None:
        """One that was not seen before."""
        variant, model = row["sweep_model_id"], self.counts.model(row["sweep_model_id"])
        self.numbers[row["id"]] = row["number"]
        self.alive[row["id"]] = TrackedWorker(row["number"], variant, model)
        before = self.variant_of.get(model, variant)
        self.variant_of[model] = variant
        if (
            before != variant
            and (how := self.counts.variants.get(variant))
            and how["fallback_of"] is not None
        ):
            to = f"{how['location']} ({how['engine']})"
            left = self.counts.left(model)
            self.emit(
                stream.FallbackStarted(
                    sweep=self.uid, model=model, fallback_model=to, jobs=left, reason=None
                )
            )

    def look_at(self, seen: TrackedWorker, row: Row) -> None:
        """One worker's start, load and memory, and its kill."""
        over = row["ended_at"] is not None
        if not seen.started and (over or row["pid"] is not None):
            seen.started = True
            self.emit(
                stream.WorkerStarted(
                    sweep=self.uid,
                    worker=seen.number,
                    model=seen.model,
                    pid=row["pid"],
                    log_path=row["log_path"],
                    elapsed_s=seconds_since(row["started_at"]),
                )
            )
        if not seen.loaded and row["load_s"] is not None:
            seen.loaded = True
            self.emit(
                stream.WorkerLoaded(
                    sweep=self.uid,
                    worker=seen.number,
                    model=seen.model,
                    engine=row["engine"],
                    device=row["device"],
                    dtype=row["dtype"],
                    load_s=row["load_s"],
                    download_s=row["download_s"],
                )
            )
        self.emit_wait(seen, row)
        if not over:
            self.sample(seen, row["id"])
        elif row["killed_for"] is not None:
            self.killed(seen, row)

    def emit_wait(self, seen: TrackedWorker, row: Row) -> None:
        """Emit that a worker waits for its model's server, or no longer does."""
        if row["waiting_for"] != seen.waiting_for:
            seen.waiting_for = row["waiting_for"]
            self.emit(
                stream.WorkerWaiting(
                    sweep=self.uid,
                    worker=seen.number,
                    model=seen.model,
                    reason=seen.waiting_for,
                )
            )

    def sample(self, seen: TrackedWorker, worker: int) -> None:
        """The newest of a worker's memory, and how far its load is."""
        samples = self.questions.samples(worker, seen.sampled)
        if not samples:
            return
        newest = samples[-1]
        peaks = [seen.peak, *(row["rss_bytes"] for row in samples)]
        seen.peak, seen.sampled = max(filter(None, peaks), default=None), newest["at_s"]
        if not seen.loaded and newest["phase"] != seen.phase:
            seen.phase = newest["phase"]
            self.emit(
                stream.WorkerProgress(
                    sweep=self.uid,
                    worker=seen.number,
                    model=seen.model,
                    phase=seen.phase,
                    message="",
                    done=None,
                    total=None,
                    unit=None,
                )
            )
        self.emit(
            stream.MemorySampled(
                sweep=self.uid,
                worker=seen.number,
                model=seen.model,
                rss_bytes=newest["rss_bytes"],
                peak_rss_bytes=seen.peak,
                device_bytes=newest["device_bytes"],
            )
        )

    def killed(self, seen: TrackedWorker, row: Row) -> None:
        """A kill that is over."""
        why = row["message"] or self.questions.last_message(row["id"])
        self.emit(
            stream.WorkerKilled(
                sweep=self.uid,
                worker=seen.number,
                model=seen.model,
                killed_for=row["killed_for"],
                phase=row["phase"],
                message=why or row["killed_for"],
            )
        )

    def number(self, worker: int | None) -> int | None:
        """A worker's number in the sweep, by its row."""
        if worker is not None and worker not in self.numbers:
            self.numbers |= {row["id"]: row["number"] for row in self.questions.workers([worker])}
        return None if worker is None else self.numbers.get(worker)

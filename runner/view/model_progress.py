"""State of one model, accumulated from events: counts, memory and remaining time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas import stream
from schemas.states import Outcome, Phase

WorkerEvent = (
    stream.WorkerStarted
    | stream.WorkerProgress
    | stream.WorkerLoaded
    | stream.WorkerWaiting
    | stream.MemorySampled
    | stream.WorkerKilled
    | stream.WorkerEnded
)


@dataclass(slots=True)
class Memory:
    """A worker's last reported memory, bytes."""

    rss: int | None = None
    device: int | None = None


@dataclass(slots=True)
class ModelProgress:
    """Progress of one model in its sweep, and the memory of its workers by worker id."""

    name: str
    total: int
    state: str = "waiting"
    detail: str = ""
    waiting_for: str | None = None
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    began: float | None = None
    loaded_at: float | None = None
    load_s: float | None = None
    ended: float | None = None
    runs_done: int = 0
    peak: int | None = None
    pace: float | None = None
    workers: dict[int, Memory] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Jobs that have their outcome."""
        return self.ok + self.failed + self.skipped

    @property
    def rss(self) -> int | None:
        """Memory its workers hold."""
        return sum_known(worker.rss for worker in self.workers.values())

    @property
    def device(self) -> int | None:
        """Device memory its workers hold."""
        return sum_known(worker.device for worker in self.workers.values())

    def per_run(self, now: float) -> float | None:
        """Mean seconds of a run so far, waiting included; None while nothing is known."""
        if self.loaded_at is None or not self.runs_done:
            return self.pace
        return ((self.ended or now) - self.loaded_at) / self.runs_done

    def left(self, now: float, guess: float | None = None) -> float | None:
        """Seconds this model still takes; None while nothing is known."""
        each = self.per_run(now) or guess
        return None if each is None else each * (self.total - self.done)

    def count(self, total: int, outcomes: Mapping[str, int]) -> None:
        """Takes over jobs as they were counted elsewhere, by outcome."""
        self.total = total
        self.ok, self.skipped = outcomes.get(Outcome.OK, 0), outcomes.get(Outcome.SKIPPED, 0)
        self.failed = sum(outcomes.values()) - self.ok - self.skipped

    def settle(self, now: float) -> None:
        """Gives it its last state once no job of it is left."""
        if self.done and self.done >= self.total:
            self.state = "failed" if self.failed and not self.ok else "done"
            self.detail = f"({self.failed} failed)" if self.failed and self.ok else ""
            self.ended = self.ended or now
        elif self.ended is not None:  # jobs of it are to be done again
            self.ended = None
            self.state, self.detail = ("running" if self.workers else "waiting"), ""


def worker_changed(model: ModelProgress, event: WorkerEvent, now: float) -> None:
    """A worker starts, loads, is killed or ends."""
    match event:
        case stream.WorkerStarted():
            model.workers[event.worker] = Memory()
            model.state, model.detail = "loading", ""
            model.began = model.began or now - event.elapsed_s
        case stream.WorkerProgress():
            model.state = "downloading" if event.phase == Phase.DOWNLOAD else "loading"
            model.detail = percent_done(event.done, event.total)
        case stream.WorkerLoaded():
            model.state, model.detail, model.load_s = "running", "", event.load_s
            model.loaded_at = model.loaded_at or now
        case stream.WorkerWaiting():
            server_waiting(model, event)
        case stream.MemorySampled():
            model.workers[event.worker] = Memory(event.rss_bytes, event.device_bytes)
            model.peak = max(filter(None, (model.peak, event.peak_rss_bytes)), default=None)
        case stream.WorkerKilled():
            model.state, model.detail = "killing", ""
        case stream.WorkerEnded():
            model.workers.pop(event.worker, None)
            model.waiting_for = None
            model.peak = max(filter(None, (model.peak, event.peak_rss_bytes)), default=None)
            if not model.workers:
                model.state, model.detail = "waiting", ""
            model.settle(now)


def server_waiting(model: ModelProgress, event: stream.WorkerWaiting) -> None:
    """A worker waits for the model's server, or no longer does."""
    model.waiting_for = event.reason
    if event.reason is None:
        model.state = "running" if model.loaded_at is not None else "loading"
        model.detail = ""
        return
    again = f", again in {event.retry_in_s:.0f} s" if event.retry_in_s else ""
    model.state, model.detail = "waiting", f"for the server: {event.reason}{again}"


def fetched(model: ModelProgress, event: stream.ModelFetched, now: float) -> None:
    """A model's files are available, or could not be fetched."""
    model.ok, model.failed = int(event.message is None), int(event.message is not None)
    model.workers.clear()
    model.settle(now)


def run_finished(model: ModelProgress, event: stream.RunFinished, now: float) -> None:
    """A job has its outcome, unless it will be retried."""
    if event.will_retry:
        return
    if event.outcome == Outcome.OK:
        model.ok += 1
    elif event.outcome == Outcome.SKIPPED:
        model.skipped += 1
    else:
        model.failed += 1
    if event.worker is not None and model.loaded_at is not None:
        model.runs_done += 1
    model.settle(now)


def sum_known(values: Iterable[int | None]) -> int | None:
    """The sum of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def percent_done(done: float | None, total: float | None) -> str:
    """`42%`, or nothing."""
    return f"{min(100, 100 * done / total):.0f}%" if done is not None and total else ""

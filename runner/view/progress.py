"""What events add up to: per sweep and model its state, counts, memory and time left.

Pure bookkeeping, driven by events and a clock given from outside. Several sweeps may be under
way, each with several workers. `runner.view.live` draws it, `runner.view.log_lines` counts with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas import stream

KEEP_TEXT = 2000


@dataclass(slots=True)
class Memory:
    """A worker's memory as it was last told, bytes."""

    rss: int | None = None
    device: int | None = None


@dataclass(slots=True)
class ModelProgress:
    """One model's way through its sweep, and what its workers hold now, by their numbers."""

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
        self.ok, self.skipped = outcomes.get("ok", 0), outcomes.get("skipped", 0)
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


@dataclass(slots=True)
class SweepProgress:
    """One sweep, as far as it was told. `title` is its name, or its uid."""

    uid: str
    title: str
    began: float
    models: dict[str, ModelProgress]
    finished: bool = False
    counts: str = "jobs"

    @property
    def total(self) -> int:
        """Jobs in the sweep."""
        return sum(model.total for model in self.models.values())

    @property
    def done(self) -> int:
        """Jobs that have their outcome."""
        return sum(model.done for model in self.models.values())

    def left(self, now: float) -> float | None:
        """Seconds the sweep still takes, models not begun guessed like those that have."""
        known = [m for m in self.models.values() if m.per_run(now) is not None]
        if not known:
            return None
        guess = sum(m.per_run(now) or 0 for m in known) / len(known)
        loads = [m.load_s for m in known if m.load_s is not None]
        load = sum(loads) / len(loads) if loads else 0.0
        unfinished = [m for m in self.models.values() if m.done < m.total]
        at_once = max(1, sum(bool(m.workers) for m in unfinished))
        each = (
            (m.left(now, guess) or 0) + (load if m.loaded_at is None else 0) for m in unfinished
        )
        return sum(each) / at_once

    def model(self, name: str) -> ModelProgress:
        """A model by name; one never announced is made room for."""
        return self.models.setdefault(name, ModelProgress(name, 0))


@dataclass(slots=True)
class CurrentRun:
    """A run in hand."""

    sweep: SweepProgress
    model: str
    worker: int
    image: str | None
    prompt: str
    began: float
    text: str = ""


@dataclass(slots=True)
class Progress:
    """All sweeps under way, and the runs in hand by their numbers, in the order they began."""

    sweeps: dict[str, SweepProgress] = field(default_factory=dict)
    runs: dict[int, CurrentRun] = field(default_factory=dict)
    images: tuple[int, int] = (0, 0)
    environment: str = ""
    idle: str | None = None

    def sweep(self, uid: str | None) -> SweepProgress:
        """The sweep meant; one never announced is made room for."""
        if uid is None and self.sweeps:
            uid = next(reversed(self.sweeps))
        return self.sweeps.setdefault(uid or "", SweepProgress(uid or "", "Sweep", 0.0, {}))

    def take(self, event: stream.StreamEvent, now: float) -> None:
        """One event's effect."""
        match event:
            case stream.EnvironmentProgress():
                making = f"Making the environment of {event.model}: {event.message}"
                self.environment = making if event.state == "building" else ""
            case stream.FetchStarted():
                wanted = {name: ModelProgress(name, 1) for name in event.models}
                fetching = SweepProgress("fetch", "Fetching", now, wanted, counts="models")
                self.sweeps["fetch"] = fetching
            case stream.ModelFetched():
                fetched(self.sweep("fetch").model(event.model), event, now)
            case stream.ImagePrepared():
                self.images = (event.done, event.total)
            case stream.SweepStarted():
                self.start(event, now)
            case stream.JobCountsChanged():
                count(self.sweep(event.sweep), event.jobs_by_model, event.outcomes_by_model, now)
            case stream.JobsCancelled() if event.sweep in self.sweeps:
                model = self.sweep(event.sweep).model(event.model)
                model.skipped += event.jobs
                model.settle(now)
            case stream.RunStarted():
                sweep, began = self.sweep(event.sweep), now - event.elapsed_s
                self.runs[event.run] = CurrentRun(
                    sweep, event.model, event.worker, event.image, event.prompt, began
                )
                if (model := sweep.model(event.model)).waiting_for is None:
                    model.state = "running"
            case stream.RunText():
                if run := self.runs.get(event.run):
                    run.text = (run.text + event.text)[-KEEP_TEXT:]
            case stream.RunFinished():
                self.runs.pop(event.run, None)
                run_finished(self.sweep(event.sweep).model(event.model), event, now)
            case stream.SweepFinished():
                sweep = self.sweep(event.sweep)
                sweep.finished = True
                self.runs = {id: run for id, run in self.runs.items() if run.sweep is not sweep}
            case stream.ModelResting():
                model = self.sweep(event.sweep).model(event.model)
                again = f"again in {event.retry_in_s:.0f} s"
                model.state, model.detail = "waiting", f"for the server: {event.reason}, {again}"
            case stream.WatchIdle():
                self.sweeps, self.runs, self.idle = {}, {}, event.message
            case (
                stream.WorkerStarted()
                | stream.WorkerProgress()
                | stream.WorkerLoaded()
                | stream.WorkerWaiting()
                | stream.MemorySampled()
                | stream.WorkerKilled()
                | stream.WorkerEnded()
            ):
                worker(event, self.sweep(event.sweep).model(event.model), now)
            case _:
                pass

    def start(self, event: stream.SweepStarted, now: float) -> None:
        """A sweep begins, or is joined; those that ended make room for it."""
        self.sweeps = {uid: one for uid, one in self.sweeps.items() if not one.finished}
        sweep = SweepProgress(event.sweep, event.name or "Sweep", now - event.elapsed_s, {})
        self.sweeps[event.sweep], self.idle = sweep, None
        count(sweep, event.jobs_by_model, event.outcomes_by_model, now)
        for name, pace in event.seconds_per_run_by_model.items():
            sweep.model(name).pace = pace


def count(
    sweep: SweepProgress,
    jobs: Mapping[str, int],
    outcomes: Mapping[str, Mapping[str, int]],
    now: float,
) -> None:
    """Takes over a sweep's jobs as they were counted elsewhere."""
    for name, total in jobs.items():
        model = sweep.model(name)
        model.count(total, outcomes.get(name, {}))
        model.settle(now)


def worker(
    event: stream.WorkerStarted
    | stream.WorkerProgress
    | stream.WorkerLoaded
    | stream.WorkerWaiting
    | stream.MemorySampled
    | stream.WorkerKilled
    | stream.WorkerEnded,
    model: ModelProgress,
    now: float,
) -> None:
    """An event in a worker's life."""
    match event:
        case stream.WorkerStarted():
            model.workers[event.worker] = Memory()
            model.state, model.detail = "loading", ""
            model.began = model.began or now - event.elapsed_s
        case stream.WorkerProgress():
            model.state = "downloading" if event.phase == "download" else "loading"
            model.detail = percent_done(event.done, event.total)
        case stream.WorkerLoaded():
            model.state, model.detail, model.load_s = "running", "", event.load_s
            model.loaded_at = model.loaded_at or now
        case stream.WorkerWaiting() if event.reason is None:
            model.waiting_for = None
            model.state = "running" if model.loaded_at is not None else "loading"
            model.detail = ""
        case stream.WorkerWaiting():
            model.waiting_for = event.reason
            again = f", again in {event.retry_in_s:.0f} s" if event.retry_in_s else ""
            model.state, model.detail = "waiting", f"for the server: {event.reason}{again}"
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


def fetched(model: ModelProgress, event: stream.ModelFetched, now: float) -> None:
    """A model's files are there, or cannot be had."""
    model.ok, model.failed = int(event.message is None), int(event.message is not None)
    model.workers.clear()
    model.settle(now)


def run_finished(model: ModelProgress, event: stream.RunFinished, now: float) -> None:
    """A job has its outcome, unless it is to be tried again."""
    if event.will_retry:
        return
    if event.outcome == "ok":
        model.ok += 1
    elif event.outcome == "skipped":
        model.skipped += 1
    else:
        model.failed += 1
    if event.worker is not None and model.loaded_at is not None:
        model.runs_done += 1
    model.settle(now)


def sum_known(values: Iterable[int | None]) -> int | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def percent_done(done: float | None, total: float | None) -> str:
    """`42%`, or nothing."""
    return f"{min(100, 100 * done / total):.0f}%" if done is not None and total else ""

"""State accumulated from events: counts, memory and remaining time per sweep and model.

Pure bookkeeping, driven by events and a clock given from outside. Several sweeps may be under
way, each with several workers. `runner.view.live` draws it, `runner.view.log_lines` counts with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas import stream

from .model_progress import (
    ModelProgress,
    WorkerEvent,
    fetched,
    run_finished,
    worker_changed,
)

KEEP_TEXT = 2000


@dataclass(slots=True)
class SweepProgress:
    """Progress of one sweep. `title` is its name or its uid."""

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
        """Remaining seconds of the sweep; models not yet started are estimated from the others."""
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
    """A current run."""

    sweep: SweepProgress
    model: str
    worker: int
    image: str | None
    prompt: str
    began: float
    text: str = ""


@dataclass(slots=True)
class Progress:
    """All running sweeps, and the current runs by id in starting order."""

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
            case stream.RunStarted() | stream.RunText() | stream.RunFinished():
                self.run_changed(event, now)
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
            case _ if isinstance(event, WorkerEvent):
                worker_changed(self.sweep(event.sweep).model(event.model), event, now)
            case _:
                pass

    def run_changed(
        self, event: stream.RunStarted | stream.RunText | stream.RunFinished, now: float
    ) -> None:
        """A run starts, emits text or ends."""
        match event:
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

    def start(self, event: stream.SweepStarted, now: float) -> None:
        """A sweep starts, or is joined; finished sweeps are removed."""
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
    """Set a sweep's job counts from an event."""
    for name, total in jobs.items():
        model = sweep.model(name)
        model.count(total, outcomes.get(name, {}))
        model.settle(now)

"""What a sweep's events add up to: per model its state, counts, memory and time left.

Pure bookkeeping, driven by events and a clock given from outside. `runner.view.live` draws it,
`runner.view.linewise` does without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas import stream

KEEP_TEXT = 2000


@dataclass(slots=True)
class ModelProgress:
    """One model's way through the sweep. `shown_state` says the same in a word or two."""

    name: str
    total: int
    state: str = "waiting"
    detail: str = ""
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    began: float | None = None
    loaded_at: float | None = None
    load_s: float | None = None
    ended: float | None = None
    runs_done: int = 0
    rss: int | None = None
    peak: int | None = None
    device: int | None = None

    @property
    def done(self) -> int:
        """Jobs that have their outcome."""
        return self.ok + self.failed + self.skipped

    def per_run(self, now: float) -> float | None:
        """Mean seconds of a run so far, waiting included; None before the first."""
        if self.loaded_at is None or not self.runs_done:
            return None
        return ((self.ended or now) - self.loaded_at) / self.runs_done

    def left(self, now: float, guess: float | None = None) -> float | None:
        """Seconds this model still takes; None while nothing is known."""
        each = self.per_run(now) or guess
        return None if each is None else each * (self.total - self.done)


@dataclass(slots=True)
class CurrentRun:
    """The run in hand."""

    model: str
    image: str | None
    prompt: str
    began: float
    text: str = ""


@dataclass(slots=True)
class Progress:
    """The whole sweep, as far as it was told."""

    models: dict[str, ModelProgress] = field(default_factory=dict)
    run: CurrentRun | None = None
    pictures: tuple[int, int] = (0, 0)
    environment: str = ""
    began: float | None = None
    database: str = ""
    finished: bool = False

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
        return sum(
            (m.left(now, guess) or 0) + (load if m.loaded_at is None else 0) for m in unfinished
        )

    def take(self, event: stream.StreamEvent, now: float) -> None:
        """One event's effect."""
        match event:
            case stream.EnvironmentProgress():
                making = f"Making the environment of {event.model}: {event.message}"
                self.environment = making if event.state == "making" else ""
            case stream.ImagePrepared():
                self.pictures = (event.done, event.total)
            case stream.SweepStarted():
                self.began, self.database = now, event.database
                self.models = {n: ModelProgress(n, t) for n, t in event.jobs_by_model.items()}
            case stream.JobsCancelled():
                self.model(event.model).skipped += event.jobs
            case stream.RunStarted():
                self.run = CurrentRun(event.model, event.image, event.prompt, now)
                self.model(event.model).state = "running"
            case stream.RunText():
                if self.run is not None:
                    self.run.text = (self.run.text + event.text)[-KEEP_TEXT:]
            case stream.RunFinished():
                self.run = None
                self.run_finished(event, now)
            case stream.SweepFinished():
                self.finished, self.run = True, None
            case (
                stream.RunFirstToken()
                | stream.Interrupting()
                | stream.FallingBack()
                | stream.Recovered()
                | stream.Quarantined()
                | stream.HourCame()
            ):
                pass
            case _:
                self.worker(event, self.model(event.model), now)

    def worker(
        self,
        event: stream.WorkerStarted
        | stream.WorkerProgress
        | stream.WorkerLoaded
        | stream.MemorySampled
        | stream.WorkerKilled
        | stream.WorkerEnded,
        model: ModelProgress,
        now: float,
    ) -> None:
        """An event in a worker's life."""
        match event:
            case stream.WorkerStarted():
                model.state, model.detail = "loading", ""
                model.began = model.began or now
            case stream.WorkerProgress():
                model.state = "downloading" if event.phase == "download" else "loading"
                model.detail = share(event.done, event.total)
            case stream.WorkerLoaded():
                model.state, model.detail, model.load_s = "running", "", event.load_s
                model.loaded_at = model.loaded_at or now
            case stream.MemorySampled():
                model.rss, model.device = event.rss_bytes, event.device_bytes
                model.peak = max(filter(None, (model.peak, event.peak_rss_bytes)), default=None)
            case stream.WorkerKilled():
                model.state, model.detail = "killing", ""
            case stream.WorkerEnded():
                model.rss = model.device = None
                model.peak = max(filter(None, (model.peak, event.peak_rss_bytes)), default=None)
                self.close(model, now)

    def run_finished(self, event: stream.RunFinished, now: float) -> None:
        """A job has its outcome."""
        model = self.model(event.model)
        if event.tried_again:
            return
        if event.outcome == "ok":
            model.ok += 1
        elif event.outcome == "skipped":
            model.skipped += 1
        else:
            model.failed += 1
        if event.worker is not None and model.loaded_at is not None:
            model.runs_done += 1
        self.close(model, now)

    def close(self, model: ModelProgress, now: float) -> None:
        """Settles a model's state once no job of it is left."""
        if model.done >= model.total:
            model.state = "failed" if model.failed and not model.ok else "done"
            model.detail = f"({model.failed} failed)" if model.failed and model.ok else ""
            model.ended = model.ended or now

    def model(self, name: str) -> ModelProgress:
        """A model by name; one never announced is made room for."""
        return self.models.setdefault(name, ModelProgress(name, 0))


def share(done: float | None, total: float | None) -> str:
    """`42%`, or nothing."""
    return f"{min(100, 100 * done / total):.0f}%" if done is not None and total else ""

"""Events of a model's processes, and of a model that crashed too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..shared.plural import pluralize
from .base import SweepScopedEvent


@dataclass(frozen=True, kw_only=True)
class WorkerStarted(SweepScopedEvent):
    """A process for one model was started, `elapsed_s` before this event."""

    redraw: ClassVar[bool] = True
    event: Literal["worker_started"] = "worker_started"
    worker: int
    model: str
    pid: int | None
    log_path: str
    elapsed_s: float = 0.0

    @property
    def line(self) -> str:
        return f"loading (worker {self.worker})"


@dataclass(frozen=True, kw_only=True)
class WorkerProgress(SweepScopedEvent):
    """A download or a load moves."""

    event: Literal["worker_progress"] = "worker_progress"
    worker: int
    model: str
    phase: str
    message: str
    done: float | None
    total: float | None
    unit: str | None


@dataclass(frozen=True, kw_only=True)
class WorkerLoaded(SweepScopedEvent):
    """The model can answer."""

    redraw: ClassVar[bool] = True
    event: Literal["worker_loaded"] = "worker_loaded"
    worker: int
    model: str
    engine: str
    device: str
    dtype: str
    load_s: float
    download_s: float | None


@dataclass(frozen=True, kw_only=True)
class WorkerWaiting(SweepScopedEvent):
    """The model's server cannot answer now; `run` is None during a load.

    Without a `reason` the wait is over.
    """

    redraw: ClassVar[bool] = True
    event: Literal["worker_waiting"] = "worker_waiting"
    worker: int
    model: str
    run: int | None = None
    server_state: str | None = None
    reason: str | None = None
    attempt: int = 0
    retry_in_s: float | None = None
    waited_s: float | None = None

    @property
    def line(self) -> str | None:
        if self.reason is None:
            return "the server answers"
        return f"waiting for the server: {self.reason}" if self.attempt <= 1 else None


@dataclass(frozen=True, kw_only=True)
class ModelResting(SweepScopedEvent):
    """The model's server cannot answer: its jobs stay queued, and it is tried later."""

    redraw: ClassVar[bool] = True
    event: Literal["model_resting"] = "model_resting"
    model: str
    reason: str
    retry_in_s: float

    @property
    def line(self) -> str:
        return f"jobs stay queued; asking again in {self.retry_in_s:.0f} s: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class MemorySampled(SweepScopedEvent):
    """A worker's memory now and at its highest so far."""

    event: Literal["memory_sampled"] = "memory_sampled"
    worker: int
    model: str
    rss_bytes: int
    peak_rss_bytes: int | None
    device_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class WorkerKilled(SweepScopedEvent):
    """A limit was broken; the worker is being killed. `worker_ended` follows."""

    event: Literal["worker_killed"] = "worker_killed"
    worker: int
    model: str
    killed_for: str
    phase: str
    message: str

    @property
    def line(self) -> str:
        return f"worker {self.worker} killed: {self.message}"

    @property
    def style(self) -> str:
        return "red"


@dataclass(frozen=True, kw_only=True)
class WorkerEnded(SweepScopedEvent):
    """A worker and all it started are gone."""

    event: Literal["worker_ended"] = "worker_ended"
    worker: int
    model: str
    exit_code: int | None
    exit_signal: str | None
    killed_for: str | None
    kill_s: float | None
    peak_rss_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class FallbackStarted(SweepScopedEvent):
    """Jobs that did not end ok are retried with the model's fallback."""

    event: Literal["fallback"] = "fallback"
    model: str
    fallback_model: str
    jobs: int
    reason: str | None

    @property
    def line(self) -> str:
        return f"falling back to {self.fallback_model} for {pluralize(self.jobs, 'job')}"

    @property
    def style(self) -> str:
        return "yellow"


@dataclass(frozen=True, kw_only=True)
class Quarantined(SweepScopedEvent):
    """A model cost too many workers: the `jobs` it has left are skipped."""

    event: Literal["quarantined"] = "quarantined"
    model: str
    jobs: int
    message: str

    @property
    def line(self) -> str:
        return self.message

    @property
    def style(self) -> str:
        return "red"

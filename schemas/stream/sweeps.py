"""Of sweeps as wholes: their beginnings, their jobs and their ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..shared.plural import pluralize
from .base import StreamEvent


@dataclass(frozen=True, kw_only=True)
class SweepStarted(StreamEvent):
    """The sweep is stored and its first worker is about to be started.

    To those who came later also the jobs that were done before, seconds from run to run lately,
    and how long it had been running.
    """

    redraw: ClassVar[bool] = True
    event: Literal["sweep_started"] = "sweep_started"
    sweep: str
    name: str | None
    database: str
    models: list[str]
    jobs: int
    jobs_by_model: dict[str, int]
    outcomes_by_model: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds_per_run_by_model: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0

    @property
    def line(self) -> str:
        title = f"{self.name} ({self.sweep})" if self.name else self.sweep
        done = sum(sum(counts.values()) for counts in self.outcomes_by_model.values())
        already = f", done already {done}" if done else ""
        return f"sweep {title}: models {len(self.models)}, jobs {self.jobs}{already}"


@dataclass(frozen=True, kw_only=True)
class JobCountsChanged(StreamEvent):
    """A sweep's jobs were counted again: some were added, retried or removed."""

    event: Literal["jobs_recounted"] = "jobs_recounted"
    sweep: str
    jobs_by_model: dict[str, int]
    outcomes_by_model: dict[str, dict[str, int]]


@dataclass(frozen=True, kw_only=True)
class JobsCancelled(StreamEvent):
    """Waiting jobs of a model were cancelled by the user."""

    event: Literal["jobs_cancelled"] = "jobs_cancelled"
    sweep: str
    model: str
    jobs: int

    @property
    def line(self) -> str:
        return f"{self.model}: {pluralize(self.jobs, 'job')} cancelled"

    @property
    def style(self) -> str:
        return "yellow"


@dataclass(frozen=True, kw_only=True)
class DatabaseRecovered(StreamEvent):
    """A supervisor had died on this database: its leftovers were killed, its runs closed."""

    event: Literal["recovered"] = "recovered"
    processes: int
    runs: int
    jobs: int

    @property
    def line(self) -> str:
        killed = pluralize(self.processes, "process", "processes")
        marked = pluralize(self.runs, "run")
        return f"an earlier supervisor died: {killed} killed, {marked} marked interrupted"

    @property
    def style(self) -> str:
        return "yellow"


@dataclass(frozen=True, kw_only=True)
class Interrupting(StreamEvent):
    """A signal was received. Unless `at_once`, the current run may finish."""

    event: Literal["interrupting"] = "interrupting"
    signal: str
    at_once: bool

    @property
    def line(self) -> str:
        if self.at_once:
            return f"{self.signal}: stopping at once"
        return "finishing the current runs; Ctrl-C again to stop at once"

    @property
    def style(self) -> str:
        return "red"


@dataclass(frozen=True, kw_only=True)
class DeadlineReached(StreamEvent):
    """No more jobs are started, since they could not end by the time limit (UTC)."""

    event: Literal["deadline_reached"] = "deadline_reached"
    deadline: str

    @property
    def line(self) -> str:
        return "time limit reached: the remaining jobs stay queued"

    @property
    def style(self) -> str:
        return "yellow"


@dataclass(frozen=True, kw_only=True)
class SweepFinished(StreamEvent):
    """Nothing is left to do, or the sweep was interrupted."""

    redraw: ClassVar[bool] = True
    event: Literal["sweep_finished"] = "sweep_finished"
    sweep: str
    state: str
    ok: int
    failed: int
    unusable_images: int = 0
    skipped: int
    waiting: int
    elapsed_s: float

    @property
    def style(self) -> str:
        return "bold"

"""Of sweeps as wholes: their beginnings, their jobs and their ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted:
    """The sweep is stored and its first worker is about to be started.

    To those who came later also the jobs that were done before, seconds from run to run lately,
    and how long it had been running.
    """

    event: Literal["sweep_started"] = "sweep_started"
    sweep: str
    name: str | None
    database: str
    models: list[str]
    jobs: int
    jobs_by_model: dict[str, int]
    outcomes_by_model: dict[str, dict[str, int]] = field(default_factory=dict)
    pace_by_model: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCountsChanged:
    """A sweep's jobs were counted anew: some were added, tried again, or taken away."""

    event: Literal["jobs_counted"] = "jobs_counted"
    sweep: str
    jobs_by_model: dict[str, int]
    outcomes_by_model: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsCancelled:
    """Waiting jobs of a model were given up at the user's wish."""

    event: Literal["jobs_cancelled"] = "jobs_cancelled"
    sweep: str
    model: str
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A supervisor had died on this database: its leftovers were killed, its runs closed."""

    event: Literal["recovered"] = "recovered"
    processes: int
    runs: int
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupting:
    """A signal came. Unless `at_once`, the run in hand may finish."""

    event: Literal["interrupting"] = "interrupting"
    signal: str
    at_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineReached:
    """No more jobs are begun, since they may run until an hour only (UTC)."""

    event: Literal["hour_came"] = "hour_came"
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFinished:
    """Nothing is left to do, or the sweep was interrupted."""

    event: Literal["sweep_finished"] = "sweep_finished"
    sweep: str
    state: str
    ok: int
    failed: int
    skipped: int
    waiting: int
    elapsed_s: float

"""States that are stored as text: a run's outcome, a worker's phase, a job's and a sweep's state.

Members are `str`: SQLite and JSON hold their values.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The result of a run (`runs.outcome`)."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    MEMORY_LIMIT = "memory_limit"
    UNSUPPORTED = "unsupported"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"


class Phase(StrEnum):
    """The current step of a worker. PREPARE comes before any worker; a run never ends in IDLE."""

    PREPARE = "prepare"
    START = "start"
    DOWNLOAD = "download"
    LOAD = "load"
    IDLE = "idle"
    PREFILL = "prefill"
    WAITING = "waiting"
    GENERATE = "generate"
    STOP = "stop"


class JobState(StrEnum):
    """The state of a job (`jobs.state`)."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class SweepState(StrEnum):
    """The state of a sweep (`sweeps.state`); INTERRUPTED waits for `vlmsweep resume`."""

    QUEUED = "queued"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    DONE = "done"

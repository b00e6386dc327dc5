"""What `vlmsweep run --json` prints, an object a line, and what the live view is drawn from.

The supervisor tells these after the fact was committed to the database, so that whoever reads
the stream never knows more than the file does. Workers speak `schemas.events` instead.
"""

from __future__ import annotations

from collections.abc import Callable

from .base import SweepScopedEvent
from .preparation import (
    EnvironmentProgress,
    FetchStarted,
    ImagePrepared,
    ModelFetched,
    PreflightFinding,
)
from .runs import RunFinished, RunFirstToken, RunStarted, RunText
from .session import NotifyFailed, SleepInhibited, WatchIdle, WatchingState
from .sweeps import (
    DeadlineReached,
    Interrupting,
    JobCountsChanged,
    JobsCancelled,
    Recovered,
    SweepFinished,
    SweepStarted,
)
from .workers import (
    FallingBack,
    MemorySampled,
    Quarantined,
    WorkerEnded,
    WorkerKilled,
    WorkerLoaded,
    WorkerProgress,
    WorkerStarted,
)

StreamEvent = (
    SweepStarted
    | JobCountsChanged
    | Recovered
    | PreflightFinding
    | EnvironmentProgress
    | FetchStarted
    | ModelFetched
    | ImagePrepared
    | WorkerStarted
    | WorkerProgress
    | WorkerLoaded
    | RunStarted
    | RunFirstToken
    | RunText
    | RunFinished
    | FallingBack
    | Quarantined
    | MemorySampled
    | WorkerKilled
    | WorkerEnded
    | Interrupting
    | JobsCancelled
    | DeadlineReached
    | SweepFinished
    | SleepInhibited
    | NotifyFailed
    | WatchIdle
)
EventSink = Callable[[StreamEvent], None]

__all__ = [
    "DeadlineReached",
    "EnvironmentProgress",
    "FallingBack",
    "FetchStarted",
    "ImagePrepared",
    "Interrupting",
    "JobCountsChanged",
    "JobsCancelled",
    "MemorySampled",
    "ModelFetched",
    "NotifyFailed",
    "PreflightFinding",
    "Quarantined",
    "Recovered",
    "RunFinished",
    "RunFirstToken",
    "RunStarted",
    "RunText",
    "SleepInhibited",
    "StreamEvent",
    "SweepFinished",
    "SweepScopedEvent",
    "SweepStarted",
    "Tell",
    "WatchIdle",
    "WatchingState",
    "WorkerEnded",
    "WorkerKilled",
    "WorkerLoaded",
    "WorkerProgress",
    "WorkerStarted",
]

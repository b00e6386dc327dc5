"""What `vlmsweep run --json` prints, an object a line, and what the live view is drawn from.

The supervisor tells these after the fact was committed to the database, so that whoever reads
the stream never knows more than the file does. Workers speak `schemas.events` instead.
"""

from __future__ import annotations

from collections.abc import Callable

from .around import (
    NotifyFailed,
    SleepInhibited,
    WatchIdle,
    WatchingState,
)
from .ready import (
    EnvironmentProgress,
    FetchStarted,
    ImagePrepared,
    ModelFetched,
    PreflightFinding,
)
from .runs import (
    RunFinished,
    RunFirstToken,
    RunStarted,
    RunText,
)
from .whole import (
    DeadlineReached,
    Interrupting,
    JobsCancelled,
    JobCountsChanged,
    Recovered,
    SweepFinished,
    SweepStarted,
)
from .within import SweepScopedEvent
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
Tell = Callable[[StreamEvent], None]

__all__ = [
    "EnvironmentProgress",
    "FallingBack",
    "FetchStarted",
    "DeadlineReached",
    "ImagePrepared",
    "Interrupting",
    "JobsCancelled",
    "JobCountsChanged",
    "MemorySampled",
    "ModelFetched",
    "NotifyFailed",
    "SweepScopedEvent",
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

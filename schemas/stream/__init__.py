"""What `vlmsweep run --json` prints, an object a line, and what the live view is drawn from.

The supervisor tells these after the fact was committed to the database, so that whoever reads
the stream never knows more than the file does. Workers speak `schemas.events` instead.
"""

from __future__ import annotations

from collections.abc import Callable

from .around import (
    NotifyFailed,
    StayingAwake,
    Watching,
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
    HourCame,
    Interrupting,
    JobsCancelled,
    JobsCounted,
    Recovered,
    SweepFinished,
    SweepStarted,
)
from .within import OfSweep
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
    | JobsCounted
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
    | HourCame
    | SweepFinished
    | StayingAwake
    | NotifyFailed
    | Watching
)
Tell = Callable[[StreamEvent], None]

__all__ = [
    "EnvironmentProgress",
    "FallingBack",
    "FetchStarted",
    "HourCame",
    "ImagePrepared",
    "Interrupting",
    "JobsCancelled",
    "JobsCounted",
    "MemorySampled",
    "ModelFetched",
    "NotifyFailed",
    "OfSweep",
    "PreflightFinding",
    "Quarantined",
    "Recovered",
    "RunFinished",
    "RunFirstToken",
    "RunStarted",
    "RunText",
    "StayingAwake",
    "StreamEvent",
    "SweepFinished",
    "SweepStarted",
    "Tell",
    "Watching",
    "WatchingState",
    "WorkerEnded",
    "WorkerKilled",
    "WorkerLoaded",
    "WorkerProgress",
    "WorkerStarted",
]

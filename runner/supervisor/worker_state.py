"""The states of a worker, and what the supervisor needs to know when one has exited."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class WorkerState(StrEnum):
    """What a worker is doing, as far as its events tell. It stays what it was at the exit."""

    LOADING = "loading"  # from the start of the process on
    LOAD_FAILED = "load_failed"  # it reported why, and exits by itself
    IDLE = "idle"  # the model is loaded; no run in hand
    RUNNING = "running"
    STOPPING = "stopping"  # it was told to exit, and had no run


LOADED = (WorkerState.IDLE, WorkerState.RUNNING, WorkerState.STOPPING)


class StopRequest(StrEnum):
    """Why a worker gets no more jobs, if it does not."""

    NONE = ""
    DRAIN = "drain"  # the supervisor is stopping
    CANCEL = "cancel"  # the user cancelled its job


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """What the supervisor must know of a worker that is gone.

    `ended` counts the runs that ended as the worker said, `lost_a_run` tells that it went with a
    run in hand or before it was given one, `row` says why it went, in columns of a run.
    """

    loaded: bool
    ended: int
    lost_a_run: bool
    row: dict[str, Any]

"""The states of a worker, and the result that it leaves to the supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.rows import Runs


class WorkerState(StrEnum):
    """A worker's activity according to its events. It does not change at the exit."""

    LOADING = "loading"  # from the start of the process on
    LOAD_FAILED = "load_failed"  # it reported why, and exits by itself
    IDLE = "idle"  # the model is loaded; no current run
    RUNNING = "running"
    STOPPING = "stopping"  # asked to exit, without a current run


LOADED = (WorkerState.IDLE, WorkerState.RUNNING, WorkerState.STOPPING)


class StopRequest(StrEnum):
    """The reason for sending no more jobs to a worker."""

    NONE = ""
    DRAIN = "drain"  # the supervisor is stopping
    CANCEL = "cancel"  # the user cancelled its job


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """The result of a worker that has exited.

    `ended` counts runs with an answer or error, `lost_a_run` is set if it exited during a run or
    before being asked to, `row` has the reason in columns of a run.
    """

    loaded: bool
    ended: int
    lost_a_run: bool
    row: Runs

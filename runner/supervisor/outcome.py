"""Maps a worker's error or exit to a run's outcome.

Pure. A signal that we did not send is never reported as a timeout, and our own kill never as a
crash.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import cast

from schemas.events import Error
from schemas.rows import Runs, Workers
from schemas.states import Outcome, Phase

OUTCOME_BY_LIMIT = {
    "memory_bytes": Outcome.MEMORY_LIMIT,
    "interrupted": Outcome.INTERRUPTED,
    "cancelled": Outcome.SKIPPED,
}
OUTCOME_BY_CLASS = {
    "out_of_memory": Outcome.OUT_OF_MEMORY,
    "unsupported": Outcome.UNSUPPORTED,
    "excluded": Outcome.SKIPPED,
}


@dataclass(slots=True)
class WorkerExit:
    """A worker's exit: the limit that it was killed for, or its own exit status.

    `start_error` is why its shim could not create the process.
    """

    killed_for: str | None = None
    message: str | None = None
    phase: Phase | None = None
    status: int | None = None
    oom_kills: int = 0
    stack: str | None = None
    start_error: str | None = None


def outcome_of_error(error: Error) -> Runs:
    """Return the columns of a run for which the worker reported an error."""
    return {
        "outcome": OUTCOME_BY_CLASS.get(error.error_class, Outcome.ERROR),
        "phase": error.phase if error.phase != "idle" else Phase.GENERATE,
        "error_class": error.error_class,
        "message": error.message or error.exception,
        "hint": error.hint,
        "traceback": error.traceback,
        "text": error.text,
        "reasoning": error.reasoning,
        "notes": json.dumps(error.notes) if error.notes else None,
        "waited_s": error.waited_s,
        "requeued": int(error.server_state is not None),
    }


def for_other_jobs(row: Runs) -> Runs:
    """The same failure for jobs that get no run: without the columns of only the failed run."""
    own = ("text", "reasoning", "notes", "waited_s")
    kept = {name: value for name, value in row.items() if name not in own}
    return cast(Runs, kept | {"requeued": 0})


def columns_of_failed_load(row: Runs) -> Workers:
    """Return the columns of `workers` for a load that failed, from the columns of a run."""
    return {
        "error_class": row.get("error_class"),
        "message": row.get("message"),
        "hint": row.get("hint"),
        "stack": row.get("traceback"),
    }


def outcome_of_exit(ending: WorkerExit, phase: Phase) -> Runs:
    """Return the columns of a run whose worker exited during it."""
    row: Runs = {"phase": phase, "traceback": ending.stack}
    if ending.killed_for == "protocol":
        return row | {
            "outcome": Outcome.ERROR,
            "error_class": "protocol",
            "message": ending.message,
        }
    if ending.killed_for is not None:
        outcome = OUTCOME_BY_LIMIT.get(ending.killed_for, Outcome.TIMEOUT)
        if ending.killed_for == "cancelled":
            row["error_class"] = "cancelled"
        return row | {"outcome": outcome, "message": ending.message, "hint": HINTS.get(outcome)}
    if ending.start_error is not None:
        return start_failure(ending.start_error)
    if ending.status == -signal.SIGKILL and ending.oom_kills > 0:
        return row | OOM_KILLED
    return (
        row
        | {"outcome": Outcome.CRASHED, "message": exit_text(ending.status)}
        | hint_for(ending.status)
    )


def start_failure(reason: object) -> Runs:
    """Return the columns of a run whose worker's process could not be created."""
    return {
        "outcome": Outcome.ERROR,
        "phase": Phase.START,
        "error_class": "no_process",
        "message": f"no worker could be started: {reason}",
        "hint": "the limit of processes (ulimit -u), of open files or of memory was reached",
    }


def exit_text(status: int | None) -> str:
    """Describe a process exit."""
    if status is None:
        return "the worker vanished without an exit status"
    if status < 0:
        return f"the worker was ended by {signal_name(-status)}"
    return f"the worker left with exit status {status} before it had finished"


def hint_for(status: int | None) -> Runs:
    """Return a hint for an exit status."""
    if status == -signal.SIGKILL:
        return {"hint": "something outside killed it; most often the system was out of memory"}
    return {"hint": "the worker's log holds what its libraries last printed"}


def signal_name(number: int) -> str:
    """SIGSEGV for 11, and so on."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


OOM_KILLED: Runs = {
    "outcome": Outcome.OUT_OF_MEMORY,
    "error_class": "out_of_memory",
    "message": "the kernel ended the worker, because the memory of the machine or of its memory"
    " group (container) was used up",
    "hint": "set limits.memory_bytes below what there is, or take a smaller model or dtype",
}
HINTS = {
    Outcome.TIMEOUT: "raise the limit in the sweep file if the model is only slow",
    Outcome.MEMORY_LIMIT: "raise limits.memory_bytes, or take a smaller model or dtype",
}
CANCELLED_MESSAGE = "cancelled by the user"
CANCELLED: Runs = {
    "outcome": Outcome.SKIPPED,
    "error_class": "cancelled",
    "message": CANCELLED_MESSAGE,
}

"""The result of a fault, and whether it was survived. Reads nothing but a log's size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..process.launcher import LOG_BYTES
from .catalogue import Fault

KILL_S = 5.0
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FaultResult:
    """The result of one fault. `why` is the reason for failure; None when it was survived.

    `kill_s` is the time from the decision to kill until all processes were gone, None if
    nothing was killed; `survivors` counts processes that were still there when the sweep had ended.
    """

    fault: str
    title: str
    expected: str
    got: str | None
    phase: str | None
    kill_s: float | None
    survivors: int
    next_ok: bool
    took_s: float
    survived: bool
    why: str | None


def check_result(fault: Fault, found: Row, left: int) -> Iterator[str]:
    """Yields the problems of the job's row and of the remaining processes."""
    if found["outcome"] != fault.expected:
        yield f"it ended as {found['outcome'] or 'nothing stored'}, not as {fault.expected}"
    elif fault.phase not in (None, found["phase"]):
        yield f"it was recorded in phase {found['phase']}, not {fault.phase}"
    for column, text in fault.holds.items():
        if text not in (found.get(column) or ""):
            yield f"{column} does not hold {text!r}"
    if (killed := found.get("killed_processes") or 0) < fault.kills:
        yield f"{killed} of {fault.kills} processes were there to be killed"
    if left:
        yield f"{left} of its processes were left"
    if not found["next_ok"]:
        yield "the job after it was not done"
    if (found["kill_s"] or 0) > KILL_S:
        yield f"the kill took over {KILL_S:g} s"
    if found.get("log_bytes", 0) > 2 * LOG_BYTES + (1 << 20):
        yield "its log was not bounded"


def log_bytes(path: str) -> int:
    """A worker's log, the older part included."""
    log = Path(path)
    return sum(file.stat().st_size for file in log.parent.glob(log.name + "*"))

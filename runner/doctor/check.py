"""One result of `vlmsweep doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "unavailable", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its area, name, state, and detail for the user.

    "ok": it works. "unavailable": not available; vlmsweep works without it. "problem": fix it
    before an unattended sweep.
    """

    area: str
    check: str
    state: State
    detail: str


def state_of(yes: bool, otherwise: State = "problem") -> State:
    """Return "ok" if it works, else `otherwise`."""
    return "ok" if yes else otherwise

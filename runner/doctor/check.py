"""One result of `vlmsweep doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["in force", "not here", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its area, name, state, and what the state means for the user.

    "in force": it works. "not here": not available; vlmsweep works without it. "problem": fix it
    before an unattended sweep.
    """

    area: str
    check: str
    state: State
    detail: str


def state_of(yes: bool, otherwise: State = "problem") -> State:
    """Return "in force" if it works, else `otherwise`."""
    return "in force" if yes else otherwise

"""One line of what the doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["in force", "not here", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and what that means for the user.

    "in force": it was seen to work. "not here": this machine does without, and so does vlmsweep.
    "problem": a night should not be trusted to this machine until it is put right.
    """

    area: str
    check: str
    state: State
    detail: str


def state_of(yes: bool, otherwise: State = "problem") -> State:
    """A state by whether something was seen to work."""
    return "in force" if yes else otherwise

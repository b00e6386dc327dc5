"""Says what this machine can isolate, kill and measure, by trying it: nothing is assumed.

Each module probes an area and gives `Check`s; nothing here mends anything, and nothing stays
behind but the answer. Values of environment variables that may be secrets are never shown.
Faults on purpose, which take longer, are `runner.chaos`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from ..errors import DatabaseError
from . import environment_checks, kill_checks, measurement_checks, models, storage
from .check import Check

Probe = Callable[[], Iterable[Check]]


def run_checks(database: Path | DatabaseError, devices: bool, screen: TextIO) -> list[Check]:
    """Run all checks, in display order. `screen` is the terminal to describe.

    `database` is the database path, or the error for a path that cannot be used.
    """
    probes: list[tuple[str, Probe]] = [
        ("kill", kill_checks.checks),
        ("measure", measurement_checks.checks),
        ("store", lambda: storage_checks(database)),
        ("models", lambda: models.checks(devices)),
        ("here", lambda: environment_checks.checks(screen)),
    ]
    return [check for area, probe in probes for check in guarded(area, probe)]


def storage_checks(database: Path | DatabaseError) -> Iterable[Check]:
    """Return the checks of the database path; an unusable path is one problem."""
    if isinstance(database, DatabaseError):
        return [Check("store", "database", "problem", database.message)]
    return storage.checks(database)


def guarded(area: str, probe: Probe) -> list[Check]:
    """A probe's checks; one that fails is a problem of its own and hides none before it."""
    found: list[Check] = []
    try:
        found.extend(probe())
    except Exception as error:
        what = f"could not be looked at: {type(error).__name__}: {error}"
        found.append(Check(area, "the rest of this part", "problem", what))
    return found


def healthy(checks: Iterable[Check]) -> bool:
    """Whether nothing that matters is a problem."""
    return all(check.state != "problem" for check in checks)

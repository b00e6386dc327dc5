"""Checks what this machine can isolate, kill and measure, by trying each.

Each module probes one area and yields `Check`s. Nothing is repaired, and nothing is left behind.
Values of environment variables that may be secrets are never shown. `runner.chaos` injects faults,
which takes longer.
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
        ("kill", kill_checks.kill_checks),
        ("measure", measurement_checks.measurement_checks),
        ("store", lambda: storage_checks(database)),
        ("models", lambda: models.model_checks(devices)),
        ("environment", lambda: environment_checks.environment_checks(screen)),
    ]
    return [check for area, probe in probes for check in guarded(area, probe)]


def storage_checks(database: Path | DatabaseError) -> Iterable[Check]:
    """Return the checks of the database path; an unusable path is one problem."""
    if isinstance(database, DatabaseError):
        return [Check("store", "database", "problem", database.message)]
    return storage.storage_checks(database)


def guarded(area: str, probe: Probe) -> list[Check]:
    """Return a probe's checks; an exception becomes a problem and keeps earlier checks."""
    found: list[Check] = []
    try:
        found.extend(probe())
    except Exception as error:
        what = f"could not be checked: {type(error).__name__}: {error}"
        found.append(Check(area, "remaining checks", "problem", what))
    return found


def healthy(checks: Iterable[Check]) -> bool:
    """Return True if no check is a problem."""
    return all(check.state != "problem" for check in checks)

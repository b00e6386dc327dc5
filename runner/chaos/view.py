"""The table of `vlmsweep chaos`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ..view.grid import Column, Grid, grid
from .result import FaultResult

Record = Mapping[str, Any]

SURVIVED = {True: "survived", False: "NOT survived"}


def expected_if_different(row: Record) -> Any:
    """Return the expected outcome if the actual one differs."""
    return row["expected"] if row["expected"] != row["got"] else None


FAULTS = (
    Column("title", "Fault", least=16),
    Column("expected", "Expected", optional=True, of=expected_if_different),
    Column("got", "Outcome", of=lambda row: row["got"] or "nothing stored"),
    Column("phase", "Phase", least=7),
    Column("kill_s", "Killed in", "seconds"),
    Column("survivors", "Left over", "number"),
    Column("next_ok", "Next job", of=lambda row: "ok" if row["next_ok"] else "not done"),
    Column("survived", "Verdict", of=lambda row: SURVIVED[row["survived"]]),
    Column("why", "Why", least=30, aside=True, optional=True),
)


def verdicts(found: Iterable[FaultResult]) -> Grid:
    """Return one row per fault."""
    return grid([asdict(one) for one in found], FAULTS)

"""The table of `vlmsweep demo`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ..view.grid import Column, Grid, grid
from .demo import CheckedAnswer

Record = Mapping[str, Any]

VERDICTS = {True: "right", False: "wrong", None: "not checked"}


def verdict(row: Record) -> str:
    """Return the verdict on one answer."""
    return VERDICTS[row["right"]] if row["answer"] is not None else "no answer"


def expected_if_wrong(row: Record) -> str:
    """Return the expected answer if the answer is wrong, else an empty string."""
    return "" if row["right"] or not row["expected"] else str(row["expected"][0])


CHECKED = (
    Column("image", "Image", least=10),
    Column("question", "Question", least=12),
    Column("answer", "Answer", least=12),
    Column("expected", "Expected", least=8, optional=True, of=expected_if_wrong),
    Column("right", "", least=9, of=verdict),
)


def demo_table(rows: Iterable[CheckedAnswer]) -> Grid:
    """Return the table of the demo's answers."""
    return grid([asdict(row) for row in rows], CHECKED)

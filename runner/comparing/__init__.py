"""Compares two sides of the history: sweeps, days or versions of a library.

`sides` says which runs a side holds, `pairs` which of them belong together, `changes` what they
ran with, `ratios` how much slower or larger one side is, `words` which words changed, and
`verdict` whether all that is a regression. Nothing here prints or writes to the database.
"""

from __future__ import annotations

from ..database.reader import Reader
from .comparison import Comparison, compare
from .sides import side
from .verdict import Thresholds

__all__ = ["Comparison", "Thresholds", "between"]


def between(reader: Reader, a: str, b: str | None, limits: Thresholds) -> Comparison:
    """Two sides as the user named them; without `b`, the latest sweep.

    Raises QueryError when one is not there, or when they have nothing in common.
    """
    return compare(side(reader, a), side(reader, b), limits)

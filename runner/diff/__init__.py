"""Compares two sides of the history: sweeps, days or versions of a library.

`side` reads a side's runs, `pairing` pairs them, `config_changes` compares their settings and
libraries, `ratios` their times and memory, `text_diff` their texts, and `regression` decides
whether the result is a regression. Only the views print; nothing writes to the database.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ..database.reader import Reader
from .comparison import Comparison, compare
from .regression import Thresholds
from .side import load_side

__all__ = ["Comparison", "Thresholds", "compare_sides"]


def compare_sides(reader: Reader, a: str, b: str | None, limits: Thresholds) -> Comparison:
    """Two sides as the user named them; without `b`, the latest sweep.

    Raises QueryError when a side is missing, or when they have nothing in common.
    """
    with gc_disabled():
        return compare(load_side(reader, a), load_side(reader, b), limits)


@contextmanager
def gc_disabled() -> Iterator[None]:
    """Looks for no garbage meanwhile: among 200,000 jobs that stay it took over half the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

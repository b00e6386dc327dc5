"""One model on both sides: its jobs counted by what changed, and its figures as ratios."""

from __future__ import annotations

from dataclasses import dataclass

from .pairing import Change
from .ratios import Ratio


@dataclass(slots=True)
class ModelComparison:
    """A model: how many of its jobs went which way, and its ratios, by figure."""

    name: str
    sides: str
    counts: dict[Change, int]
    ratios: dict[str, Ratio]

"""One model on both sides: its jobs counted by change, its figures as ratios, its scores."""

from __future__ import annotations

from dataclasses import dataclass, field

from .pairing import Change
from .ratios import Ratio
from .score_comparison import ScoreComparison


@dataclass(slots=True)
class ModelComparison:
    """A model: how many of its jobs went which way, its ratios by figure, its scores."""

    name: str
    sides: str
    counts: dict[Change, int]
    ratios: dict[str, Ratio]
    scores: list[ScoreComparison] = field(default_factory=list)

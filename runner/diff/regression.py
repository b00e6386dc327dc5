"""What counts as a regression from A to B, and why.

Of jobs that were run on both sides: one that was ok and failed (a new failure); a model whose
answers take longer, or more memory, than the limit allows, when the whole interval of the ratio
lies above the limit, so that chance alone is not taken for it; and, only if asked for, a changed
text. Nothing else is: jobs on one side only, jobs that were not run again, times of loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from .model_comparison import ModelComparison

SPEED = "latency_s"
MEMORY = ("peak_rss_bytes", "peak_device_bytes")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How much more B may take, as B over A, and whether texts may change."""

    slower: float = 1.2
    memory: float = 1.1
    texts: bool = False


@dataclass(frozen=True, slots=True)
class Regression:
    """One regression of one model: how many jobs, or the ratio and its interval."""

    kind: Literal["new_failures", "slower", "memory", "texts"]
    model: str
    figure: str | None = None
    count: int | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None


def find_regressions(models: Iterable[ModelComparison], limits: Thresholds) -> Iterator[Regression]:
    """All regressions; none is no regression."""
    for model in models:
        if count := model.counts["new_failure"]:
            yield Regression("new_failures", model.name, count=count)
        for figure in (SPEED, *MEMORY):
            kind: Literal["slower", "memory"] = "slower" if figure == SPEED else "memory"
            limit = limits.slower if figure == SPEED else limits.memory
            seen = model.ratios.get(figure)
            if seen and seen.exceeds(limit):
                yield Regression(
                    kind, model.name, figure, None, seen.ratio, seen.low, seen.high, limit
                )
        if limits.texts and (count := model.counts["text"]):
            yield Regression("texts", model.name, count=count)

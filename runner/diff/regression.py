"""Finds regressions from A to B.

Of jobs that were run on both sides: one that was ok and failed (a new failure); a model whose
answers take longer, or more memory, than the limit allows, when the whole interval of the ratio is
above the limit, so that noise is not reported; a metric with a statistically significant drop of
its mean (`runner.diff.score_comparison`); and, only if requested, a changed text. Nothing else is:
jobs on one side only, jobs that were not run again, times of loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from .model_comparison import ModelComparison
from .score_comparison import SIGNIFICANT, ScoreComparison

SPEED = "latency_s"
MEMORY = ("peak_rss_bytes", "peak_device_bytes")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits of the ratios, as B over A, and whether texts may change."""

    slower: float = 1.2
    memory: float = 1.1
    texts: bool = False


@dataclass(frozen=True, slots=True)
class Regression:
    """One regression of one model: how many jobs, or the ratio and its interval.

    Of a lower score `figure` is the metric, `a` and `b` the means, `low` and `high` the interval of
    B - A, and `limit` what `p_value` is below.
    """

    kind: Literal["new_failures", "slower", "memory", "lower_score", "texts"]
    model: str
    figure: str | None = None
    count: int | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    a: float | None = None
    b: float | None = None
    p_value: float | None = None


def find_regressions(models: Iterable[ModelComparison], limits: Thresholds) -> Iterator[Regression]:
    """All regressions of the models."""
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
        yield from (lower_score(model.name, score) for score in model.scores if score.dropped)
        if limits.texts and (count := model.counts["text"]):
            yield Regression("texts", model.name, count=count)


def lower_score(model: str, score: ScoreComparison) -> Regression:
    """A metric that dropped."""
    return Regression(
        "lower_score",
        model,
        score.metric,
        low=score.low,
        high=score.high,
        limit=SIGNIFICANT,
        a=score.a,
        b=score.b,
        p_value=score.p_value,
    )

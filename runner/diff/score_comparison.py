"""Compares a model's scores: both means over the questions that both sides answered.

Questions are paired, and repeats of one are averaged first. A drop counts as significant when the
paired test of the differences rejects chance: McNemar's exact test for scores of 0 or 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean

from ..scoring.confidence import interval
from ..scoring.paired_test import difference_interval, p_value
from .pairing import JobPair, question_key
from .side import Record

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class ScoreComparison:
    """A metric on both sides: means with 95% intervals, and their difference B - A with its own.

    `better` and `worse` count the questions whose score rose or fell.
    """

    metric: str
    questions: int
    a: float
    a_low: float
    a_high: float
    b: float
    b_low: float
    b_high: float
    difference: float
    low: float
    high: float
    better: int
    worse: int
    p_value: float

    @property
    def dropped(self) -> bool:
        """Whether B is significantly worse."""
        return self.difference < 0 and self.p_value < SIGNIFICANT


def compare_scores(answered: Iterable[JobPair]) -> list[ScoreComparison]:
    """Of a model's pairs with two answers, each metric that scored both, in the order of names."""
    by_metric: dict[str, dict[object, list[tuple[float, float]]]] = {}
    for pair in answered:
        for metric, a, b in shared_scores(pair):
            questions = by_metric.setdefault(metric, {})
            questions.setdefault(question_key(pair.newest), []).append((a, b))
    return [compared(metric, by_metric[metric].values()) for metric in sorted(by_metric)]


def shared_scores(pair: JobPair) -> Iterator[tuple[str, float, float]]:
    """The metrics that scored both answers, with both scores."""
    a, b = job_scores(pair.a), job_scores(pair.b)
    for metric in a.keys() & b.keys():
        yield metric, a[metric], b[metric]


def job_scores(job: Record | None) -> dict[str, float]:
    """A job's scores by metric."""
    return json.loads(job["scores"]) if job and job["scores"] else {}


def compared(metric: str, questions: Iterable[list[tuple[float, float]]]) -> ScoreComparison:
    """One metric, from the scores of each question's repeats."""
    means = [(fmean(a for a, _ in pairs), fmean(b for _, b in pairs)) for pairs in questions]
    of_a, of_b = [a for a, _ in means], [b for _, b in means]
    mean_a, mean_b, n = fmean(of_a), fmean(of_b), len(means)
    around_a, around_b = interval(mean_a, n), interval(mean_b, n)
    change_interval = difference_interval(of_a, of_b)
    assert around_a is not None  # there is a question
    assert around_b is not None
    assert change_interval is not None
    changes = [b - a for a, b in means]
    return ScoreComparison(
        metric,
        n,
        *(mean_a, around_a.low, around_a.high),
        *(mean_b, around_b.low, around_b.high),
        *(fmean(changes), change_interval.low, change_interval.high),
        better=sum(change > 0 for change in changes),
        worse=sum(change < 0 for change in changes),
        p_value=p_value(changes),
    )

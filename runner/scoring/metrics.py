"""The metrics that an answer can be scored by where accepted answers are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import anls, vqa
from .normalize import normalize

LOOKED_AT = 100_000


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one answer, 0 to 1. `expected`: the accepted answer it was held against."""

    metric: str
    value: float
    expected: str


def exact(answer: str, accepted: Sequence[str]) -> tuple[float, str]:
    """1 when it is an accepted answer, but for case, white space and a final full stop."""
    said = normalize(answer)
    for one in accepted:
        if normalize(one) == said:
            return 1.0, one
    return 0.0, accepted[0]


def contains(answer: str, accepted: Sequence[str]) -> tuple[float, str]:
    """1 when an accepted answer stands in it as whole words, both normalised as for VQA."""
    said = vqa.normalize(answer)
    for one in accepted:
        wanted = vqa.normalize(one)
        if wanted and re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", said):
            return 1.0, one
    return 0.0, accepted[0]


def vqa_accuracy(answer: str, accepted: Sequence[str]) -> tuple[float, str]:
    """VQA accuracy; expected is what most people said."""
    return vqa.accuracy(answer, accepted), max(accepted, key=list(accepted).count)


def anls_similarity(answer: str, accepted: Sequence[str]) -> tuple[float, str]:
    """ANLS of one answer."""
    value, nearest = anls.best_match(answer, accepted)
    return value, accepted[0] if nearest is None else nearest


METRICS: dict[str, Callable[[str, Sequence[str]], tuple[float, str]]] = {
    "exact": exact,
    "contains": contains,
    "vqa": vqa_accuracy,
    "anls": anls_similarity,
}


def score(answer: str, accepted: Sequence[str], metrics: Sequence[str]) -> list[Score]:
    """An answer held against those accepted, by each metric; by `vqa` only where there are ten.

    Of an answer of more than 100,000 characters no more are looked at.
    """
    return [
        Score(metric, *METRICS[metric](answer[:LOOKED_AT], accepted))
        for metric in metrics
        if accepted and (metric != "vqa" or len(accepted) == vqa.PEOPLE)
    ]


def default_metrics(answers: Sequence[Sequence[str]]) -> list[str]:
    """The metrics for accepted answers of which nothing was said, the one that sums up first."""
    ten = bool(answers) and all(len(one) == vqa.PEOPLE for one in answers)
    return [*(["vqa"] if ten else []), "exact", "contains", "anls"]

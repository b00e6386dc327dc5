"""`vqa`: VQA accuracy, an answer compared with those of ten people, as Antol et al. published it.

Written from the description at visualqa.org/evaluation.html. What that leaves open (which signs
are punctuation, that `none` is a number word) is as in the published evaluation; a test compares
this with results of that program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from ..metric import Metric
from ..normalize import normalize_vqa

PEOPLE = 10
ENOUGH = 3


class VqaAccuracy(Metric):
    """Agreement with ten people."""

    name: ClassVar[str] = "vqa"
    description: ClassVar[str] = "an answer that at least three others of ten people gave"
    by_default: ClassVar[bool] = True
    priority: ClassVar[int] = 40

    def applies(self, accepted: Sequence[str]) -> bool:
        """Whether there are ten answers."""
        return len(accepted) == PEOPLE

    def requirement(self) -> str:
        """Ten answers, as text."""
        return "ten answers to each question, one for each of ten people"

    def score(self, answer: str, accepted: Sequence[str]) -> tuple[float, str]:
        """VQA accuracy, and the most frequent of the people's answers."""
        return accuracy(answer, accepted), max(accepted, key=list(accepted).count)


def accuracy(answer: str, people: Sequence[str]) -> float:
    """The mean, over all ways to leave one person out, of min(equal answers of the rest / 3, 1).

    People's equal answers each count, so `people` has one entry per person.
    """
    given = Counter(map(normalize_vqa, people))
    same = given[normalize_vqa(answer)]
    without_one = min((same - 1) / ENOUGH, 1.0) if same else 0.0
    others = min(same / ENOUGH, 1.0)
    return (same * without_one + (len(people) - same) * others) / len(people)

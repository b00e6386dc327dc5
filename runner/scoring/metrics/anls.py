"""`anls`: similarity of an answer to the text in an image.

Average Normalised Levenshtein Similarity, of Biten et al. (ST-VQA) and Mathew et al. (DocVQA).
The mean over questions is taken where runs are summed up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from ..metric import Metric
from ..normalize import collapse_space

THRESHOLD = 0.5


class Anls(Metric):
    """ANLS of one answer."""

    name: ClassVar[str] = "anls"
    description: ClassVar[str] = "a text equal to an accepted answer, letter by letter"
    by_default: ClassVar[bool] = True
    priority: ClassVar[int] = 10

    def score(self, answer: str, accepted: Sequence[str]) -> tuple[float, str]:
        """The highest similarity, and the accepted answer it is with."""
        value, nearest = best_match(answer, accepted)
        return value, accepted[0] if nearest is None else nearest


def similarity(answer: str, accepted: str) -> float:
    """1 - NL, or 0 where NL is 0.5 or more; NL is the Levenshtein distance over the longer length.

    Case and the amount of white space do not count.
    """
    from rapidfuzz.distance import Levenshtein

    text, expected = collapse_space(answer.lower()), collapse_space(accepted.lower())
    longer = max(len(text), len(expected))
    if not longer:
        return 1.0
    distance = Levenshtein.distance(text, expected, score_cutoff=longer // 2) / longer
    return 1 - distance if distance < THRESHOLD else 0.0


def best_match(answer: str, accepted: Iterable[str]) -> tuple[float, str | None]:
    """The highest similarity to any accepted answer, and that answer."""
    pairs = [(similarity(answer, expected), expected) for expected in accepted]
    return max(pairs, key=lambda pair: pair[0], default=(0.0, None))

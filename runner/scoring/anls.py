"""ANLS: how near an answer comes to what is written, forgiving small slips of reading.

Average Normalised Levenshtein Similarity, of Biten et al. (ST-VQA) and Mathew et al. (DocVQA).
The mean over questions is taken where runs are summed up.
"""

from __future__ import annotations

from collections.abc import Iterable

THRESHOLD = 0.5


def similarity(answer: str, accepted: str) -> float:
    """1 - NL, or 0 where NL is 0.5 or more; NL is the Levenshtein distance over the longer length.

    Case and the amount of white space do not count.
    """
    from rapidfuzz.distance import Levenshtein

    said, right = fold(answer), fold(accepted)
    longer = max(len(said), len(right))
    if not longer:
        return 1.0
    apart = Levenshtein.distance(said, right, score_cutoff=longer // 2) / longer
    return 1 - apart if apart < THRESHOLD else 0.0


def best_match(answer: str, accepted: Iterable[str]) -> tuple[float, str | None]:
    """The highest similarity to any accepted answer, and that answer."""
    found = [(similarity(answer, one), one) for one in accepted]
    return max(found, key=lambda pair: pair[0], default=(0.0, None))


def fold(text: str) -> str:
    """Text as both papers compare it."""
    return " ".join(text.lower().split())

"""`contains`: an accepted answer is part of the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from ..metric import Metric
from ..normalize import normalize_words
from ..option_letter import mentions_letter, single_letter


class Contains(Metric):
    """1 when an accepted answer is in the text, matched at word boundaries, articles included."""

    name: ClassVar[str] = "contains"
    description: ClassVar[str] = (
        "a text that contains an accepted answer (matched at word boundaries)"
    )
    by_default: ClassVar[bool] = True
    priority: ClassVar[int] = 20

    def score(self, answer: str, accepted: Sequence[str]) -> tuple[float, str]:
        """1 or 0, and the accepted answer."""
        text = normalize_words(answer)
        for expected in accepted:
            if has_words(answer, text, expected):
                return 1.0, expected
        return 0.0, accepted[0]


def has_words(answer: str, normalized: str, expected: str) -> bool:
    """Whether an answer, given as such and normalised, contains an accepted one."""
    if letter := single_letter(expected):
        return mentions_letter(answer, letter)
    words = normalize_words(expected)
    return bool(words) and bool(re.search(rf"(?<!\w){re.escape(words)}(?!\w)", normalized))

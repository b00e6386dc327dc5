"""`contains`: an accepted answer is part of the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from ..metric import Metric
from ..normalize import normalize_vqa


class Contains(Metric):
    """1 when an accepted answer is in the text as whole words, both normalised as for VQA."""

    name: ClassVar[str] = "contains"
    description: ClassVar[str] = "a text that contains an accepted answer as whole words"
    by_default: ClassVar[bool] = True
    priority: ClassVar[int] = 20

    def score(self, answer: str, accepted: Sequence[str]) -> tuple[float, str]:
        """1 or 0, and the accepted answer."""
        text = normalize_vqa(answer)
        for expected in accepted:
            words = normalize_vqa(expected)
            if words and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text):
                return 1.0, expected
        return 0.0, accepted[0]

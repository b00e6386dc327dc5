"""`exact`: the answer is an accepted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..metric import Metric
from ..normalize import normalize
from ..option_letter import single_letter


class Exact(Metric):
    """1 when the answer is an accepted one, however it is set."""

    name: ClassVar[str] = "exact"
    description: ClassVar[str] = (
        "an accepted answer, ignoring case, white space and a final full stop"
    )
    by_default: ClassVar[bool] = True
    priority: ClassVar[int] = 30

    def score(self, answer: str, accepted: Sequence[str]) -> tuple[float, str]:
        """1 or 0, and the accepted answer."""
        text, letter = normalize(answer), single_letter(answer)
        for expected in accepted:
            if normalize(expected) == text or (letter and letter == single_letter(expected)):
                return 1.0, expected
        return 0.0, accepted[0]

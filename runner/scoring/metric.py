"""Base class of metrics; each is one file of `runner.scoring.metrics` or an entry point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar


class Metric(ABC):
    """Scores one answer against the accepted answers of its question. Instances hold no state.

    `name` is used in sweep files, tables and the database; `description` completes "1 is ...".
    Metrics with `by_default` are used where a sweep names none, if they apply to every question;
    the one of the highest `priority` comes first and sums a model up.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    by_default: ClassVar[bool] = False
    priority: ClassVar[int] = 0

    def applies(self, accepted: Sequence[str]) -> bool:
        """Whether an answer can be scored against these accepted answers."""
        return True

    def requirement(self) -> str:
        """The condition that `applies` checks, as text for a message."""
        return "every question"

    @abstractmethod
    def score(self, answer: str, accepted: Sequence[str]) -> tuple[float, str]:
        """The score, 0 to 1, and the accepted answer it was compared with."""

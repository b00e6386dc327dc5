"""Whether a text gives its own question back."""

from __future__ import annotations

import re

LEAST_WORDS = 3


def echoes_prompt(text: str, question: str) -> bool | None:
    """Whether the whole question stands in the text, without regard to case and white space.

    The question's own final punctuation may be missing. None for one of fewer than three words:
    it may well stand in a right answer.
    """
    asked = fold(question).rstrip(".:;!?… ")
    if len(re.findall(r"\w+", asked)) < LEAST_WORDS:
        return None
    return re.search(rf"(?<!\w){re.escape(asked)}(?!\w)", fold(text)) is not None


def fold(text: str) -> str:
    """Text as it is compared."""
    return " ".join(text.casefold().split())

"""The checks of one text, as the columns of table `checks`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from . import special_tokens as special_tokens_module
from .echo import echoes_prompt
from .language import language
from .repetition import repetition

LOOKED_AT = 100_000
WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(frozen=True, slots=True)
class TextChecks:
    """What was seen of one text; names and meanings are those of `schemas.rows.scores.Checks`."""

    empty: int
    cut_off: int | None
    repetition: float | None
    special_tokens: int | None
    prompt_echoed: int | None
    language: str | None
    characters: int
    words: int


def check(
    text: str | None, raw_text: str | None, finish_reason: str | None, question: str
) -> TextChecks | None:
    """Checks a run's text, or what had come of it when the run was cut short.

    `question` is the user's last turn. None when the run said nothing that could be checked.
    A text may be as long as a hostile worker likes; its first 100,000 characters are looked at.
    """
    if text is None and raw_text is None:
        return None
    whole = text if text is not None else raw_text or ""
    shown = whole[:LOOKED_AT]
    if text is None:
        shown = special_tokens_module.strip_special_tokens(shown)
    echo = echoes_prompt(shown, question)
    return TextChecks(
        empty=int(not visible(shown)),
        cut_off=None if finish_reason is None else int(finish_reason == "length"),
        repetition=repetition(shown),
        special_tokens=None if text is None else special_tokens_module.count(shown),
        prompt_echoed=None if echo is None else int(echo),
        language=language(shown),
        characters=len(shown) + max(0, len(whole) - LOOKED_AT),
        words=sum(1 for _ in WORD.finditer(shown)),
    )


def visible(text: str) -> bool:
    """Whether anything shows: white space and format or control characters do not."""
    return any(unicodedata.category(c)[0] not in "ZC" for c in text)

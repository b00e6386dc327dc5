"""The checks of one text, as the columns of table `checks`, and their summary as text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from .language import language
from .normalize import fold
from .repetition import repetition
from .special_tokens import count_special_tokens, strip_special_tokens

MAX_CHARACTERS = 100_000
WORD = re.compile(r"\w+(?:['’-]\w+)*")
MIN_QUESTION_WORDS = 3
MUCH_REPETITION = 0.5  # from this share on a text is counted as repeating itself
CHECK_WORDS = {
    "empty": "empty",
    "cut_off": "cut off at max_new_tokens",
    "repeating": "repeating themselves",
    "special_tokens": "with special tokens left",
    "prompt_echoed": "echoing their prompt",
}


@dataclass(frozen=True, slots=True)
class TextChecks:
    """Check results of one text; names and meanings are those of `schemas.rows.scores.Checks`."""

    empty: int
    cut_off: int | None
    repetition: float | None
    special_tokens: int | None
    prompt_echoed: int | None
    language: str | None
    characters: int
    words: int


def check_text(
    text: str | None, raw_text: str | None, finish_reason: str | None, question: str
) -> TextChecks | None:
    """Checks a run's text, or the partial text of an interrupted run.

    `question` is the user's last turn. None when the run has no text to check. Only the first
    100,000 characters are checked, because a faulty worker may send any amount.
    """
    if text is None and raw_text is None:
        return None
    whole = text if text is not None else raw_text or ""
    shown = whole[:MAX_CHARACTERS]
    if text is None:
        shown = strip_special_tokens(shown)
    echo = echoes_prompt(shown, question)
    return TextChecks(
        empty=int(not visible(shown)),
        cut_off=None if finish_reason is None else int(finish_reason == "length"),
        repetition=repetition(shown),
        special_tokens=None if text is None else count_special_tokens(shown),
        prompt_echoed=None if echo is None else int(echo),
        language=language(shown),
        characters=len(shown) + max(0, len(whole) - MAX_CHARACTERS),
        words=sum(1 for _ in WORD.finditer(shown)),
    )


def visible(text: str) -> bool:
    """Whether anything shows: white space and format or control characters do not."""
    return any(unicodedata.category(c)[0] not in "ZC" for c in text)


def echoes_prompt(text: str, question: str) -> bool | None:
    """Whether the text contains the complete question, ignoring case and white space.

    The question's own final punctuation may be missing. None for a question of fewer than three
    words: a correct answer may contain it.
    """
    asked = fold(question).rstrip(".:;!?… ")
    if len(re.findall(r"\w+", asked)) < MIN_QUESTION_WORDS:
        return None
    return re.search(rf"(?<!\w){re.escape(asked)}(?!\w)", fold(text)) is not None


def summarize_checks(texts: int, counts: Mapping[str, int]) -> str | None:
    """`of 12 texts 3 cut off at max_new_tokens, 1 empty`; None when there is nothing to say.

    `counts` is the number of texts per positive check, by the keys of CHECK_WORDS.
    """
    seen = sorted(((counts.get(key, 0), key) for key in CHECK_WORDS), key=lambda pair: -pair[0])
    parts = [f"{count} {CHECK_WORDS[key]}" for count, key in seen if count]
    return f"of {texts} texts {', '.join(parts)}" if parts else None

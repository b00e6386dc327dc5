"""What the checks of a model's texts come to, in a few words for a column of notes."""

from __future__ import annotations

from collections.abc import Mapping

MUCH = 0.5
"""From this share on a text is said to repeat itself: half of it says nothing new."""

WORDS = {
    "empty": "empty",
    "cut_off": "cut off at max_new_tokens",
    "repeating": "repeating themselves",
    "special_tokens": "with special tokens left",
    "prompt_echoed": "echoing their prompt",
}


def summarize_checks(texts: int, counts: Mapping[str, int]) -> str | None:
    """`of 12 texts 3 cut off at max_new_tokens, 1 empty`; None when there is nothing to say.

    `counts` are those texts of which a check told something, by the keys of WORDS.
    """
    seen = sorted(((counts.get(key, 0), key) for key in WORDS), key=lambda pair: -pair[0])
    parts = [f"{count} {WORDS[key]}" for count, key in seen if count]
    return f"of {texts} texts {', '.join(parts)}" if parts else None

"""The share of a text that repeats earlier parts of it.

Models that lose their way loop. Sequences of characters are compared, not words, so that loops
of one sign and scripts without spaces are seen too. Nothing here is compressed: a compressor's
own overhead drowns short texts.
"""

from __future__ import annotations

from .normalize import fold

SHORTEST, LONGEST = 6, 20
MAX_CHARACTERS = 20_000


def repetition(text: str) -> float | None:
    """The share of a text's characters that repeat, 0 to 1; None for a text without any.

    A character repeats when it is part of a sequence of N characters that occurs earlier in the
    text, ignoring case and kind of white space. N is half the text's length, but at least 6 and at
    most 20: a phrase that returns counts little, a loop nearly all. Of a long text only the last
    20,000 characters are checked: a loop is at the end.
    """
    folded = fold(text[-MAX_CHARACTERS:])
    if not folded:
        return None
    size = min(max(len(folded) // 2, SHORTEST), LONGEST)
    seen: set[str] = set()
    repeated = end = 0
    for start in range(len(folded) - size + 1):
        piece = folded[start : start + size]
        if piece in seen:
            repeated += start + size - max(start, end)
            end = start + size
        else:
            seen.add(piece)
    return repeated / len(folded)

"""From generated ids to text: pieces while they come, and the cleaned text at the end.

Special tokens are the tokenizer's own and chat markers the template's own; none is listed here.
Nothing is searched for the prompt: engines hand over generated ids only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .white_space import fold_white_space

UNFINISHED = "\ufffd"
WINDOW = 32


class TextCleaner:
    """Removes special tokens and chat markers from raw text and folds its white space.

    `markers` are what the template puts before an answer ("Assistant:"), special tokens
    included; a model that repeats one at the start, or begins another turn at the end,
    did not mean it as text.
    """

    def __init__(self, special: Iterable[str], markers: Iterable[str] = ()) -> None:
        tokens = sorted({token for token in special if token.strip()}, key=len, reverse=True)
        names = {marker.strip() for marker in markers if marker.strip()}
        blank = "|".join([r"\s", *map(re.escape, tokens)])
        marker = "|".join(map(re.escape, sorted(names)))
        self._special = re.compile("|".join(map(re.escape, tokens)) or r"(?!)")
        self._around = re.compile(
            rf"\A(?:{blank})*?(?:{marker})|(?:{marker})(?:{blank})*\Z" if names else r"(?!)"
        )
        # Pattern of all that may come before the first text of an answer. Markers that are blank
        # are not in it twice: each could be matched in two ways, which takes forever.
        texts = [re.escape(n) for n in sorted(names) if not re.fullmatch(rf"(?:{blank})*", n)]
        self.lead = rf"\A(?:{'|'.join([*texts, blank])})*?"

    def visible(self, raw: str) -> bool:
        """Whether a piece of raw text shows anything."""
        return bool(self._special.sub("", raw).strip())

    def strip(self, raw: str) -> str:
        """The text without special tokens, and without markers and white space around it."""
        return self._special.sub("", self._around.sub("", raw)).strip()

    def clean(self, raw: str) -> str:
        """The readable text: as `strip`, with white space folded."""
        return fold_white_space(self.strip(raw))


def special_tokens(tokenizer: Any) -> set[str]:
    """All special tokens of a transformers tokenizer, added ones included, as text."""
    named = {str(token) for token in getattr(tokenizer, "all_special_tokens", ())}
    added = getattr(tokenizer, "added_tokens_decoder", {}) or {}
    return named | {str(token) for token in added.values() if getattr(token, "special", False)}


class StreamDecoder:
    """Decodes ids one by one into pieces that join to the whole, never cutting a character.

    `decode` turns ids into text, special tokens kept. A character whose bytes are spread over
    several tokens is returned with the last. Each token decodes a window of ids, not all ids.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._shown = 0  # characters of the window's text already given
        self._boundary = 0  # a place between two characters, to begin the next window at

    def add(self, token: int) -> str:
        """The text this token completed, perhaps none."""
        self._ids.append(token)
        text = self._decode(self._ids)
        stable = text.rstrip(UNFINISHED)
        piece = stable[self._shown :]
        self._shown = max(self._shown, len(stable))
        if stable == text and len(self._ids) - self._boundary >= WINDOW:
            # Begin where a character ended a while ago: with ids before it, so that decoders
            # which strip a text's first space find it stripped already.
            self._ids = self._ids[self._boundary :]
            self._shown, self._boundary = len(self._decode(self._ids)), len(self._ids)
        return piece

    def rest(self) -> str:
        """The text held back for a character that was never completed."""
        return self._decode(self._ids)[self._shown :]

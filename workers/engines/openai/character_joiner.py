"""Joins characters that arrive in pieces: bytes of UTF-8 and surrogate halves.

Input is text decoded with `surrogateescape` (U+DC80 to U+DCFF is a byte that was not valid by
itself) and JSON escapes (a high surrogate whose low one is in the next piece).
"""

from __future__ import annotations

import codecs
import re

LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
REPLACEMENT = "\ufffd"


class CharacterJoiner:
    """Returns only complete characters; holds the beginning of an incomplete one."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._high = ""

    def add(self, piece: str) -> str:
        """The text that `piece` completes, perhaps none."""
        if piece.isascii() and not self._high:
            data = piece.encode()
        else:
            text, self._high = self._high + piece, ""
            if text and "\ud800" <= text[-1] <= "\udbff":
                text, self._high = text[:-1], text[-1]
            # Pairs first: the second half of a pair may look like an undecoded byte.
            pairs = text.encode("utf-16-le", "surrogatepass")
            text = pairs.decode("utf-16-le", "surrogatepass")
            data = LONE_SURROGATE.sub(REPLACEMENT, text).encode("utf-8", "surrogateescape")
        return self._decoder.decode(data)

    def rest(self) -> str:
        """U+FFFD for a character that was never completed, else nothing."""
        text = self._decoder.decode(b"", final=True)
        if self._high:
            self._high, text = "", text + REPLACEMENT
        return text

"""Text as it is compared by `exact`: how it was set does not count, what it says does."""

from __future__ import annotations

import unicodedata


def normalize(text: str) -> str:
    """Text without case, compatibility forms, folded white space or a final full stop."""
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    return plain.removesuffix(".").rstrip().casefold()

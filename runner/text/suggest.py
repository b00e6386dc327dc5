"""The known name that a user probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like `name`, ignoring case; None when none is like it.

    `cutoff` is the least similarity, from 0 to 1 (difflib's ratio).
    """
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=cutoff)
    return lower[close[0]] if close else None


def suggest(name: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)` for the end of a message, or an empty string."""
    match = closest(name, known)
    return f" (did you mean {match}?)" if match is not None else ""

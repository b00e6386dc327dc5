"""What somebody may have meant by a name that is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(
    name: str, known: Iterable[str], form: str = "(did you mean {}?)", cutoff: float = 0.6
) -> str:
    """` (did you mean ...?)`, or nothing when no known name is like it."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return " " + form.format(close[0]) if close else ""

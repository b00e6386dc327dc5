"""Values for a query's parameters, from text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def parse_parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A query's parameters, each a number where it reads back as exactly the same text."""
    return {name.removeprefix(":"): parse_scalar(text) for name, text in pairs}


def parse_scalar(text: str) -> Any:
    """5 for "5", but "007" and "1e3" stay text."""
    for kind in (int, float):
        try:
            if str(kind(text)) == text and abs(kind(text)) < 2**63:
                return kind(text)
        except (ValueError, OverflowError):
            continue
    return text

"""Counts with a noun."""

from __future__ import annotations


def pluralize(count: int, noun: str, plural: str | None = None) -> str:
    """Return `1 video`, `2 videos`; `plural` gives an irregular form (`2 processes`)."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"

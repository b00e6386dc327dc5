"""Reads counts of tokens or bytes from a program that is not trusted."""

from __future__ import annotations

from typing import Any

LARGEST_COUNT = 2**53 - 1  # exact in every JSON reader; a thousand of them add up within 64 bits


def read_count(value: Any) -> int | None:
    """A count from 0 to LARGEST_COUNT, also as a float without a fraction; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= LARGEST_COUNT else None

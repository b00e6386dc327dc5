"""JSON of a server, which may hold numbers of any length."""

from __future__ import annotations

import json
from typing import Any

MOST_DIGITS = 1000  # Python refuses to read an integer of over 4300 digits


def load_json(text: str | bytes) -> Any:
    """JSON as Python values; an integer of over MOST_DIGITS digits is infinite.

    Raises ValueError or RecursionError.
    """
    return json.loads(text, parse_int=_parse_int)


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)

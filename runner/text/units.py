"""Formats figures for display (1.24 s, 1.3 GB, 12.3) and parses sizes.

For tables and screens only. What machines read (JSON, CSV) is never rounded, and no figure is
computed here.
"""

from __future__ import annotations

import math
import re

from schemas.shared.plural import pluralize as pluralize

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
FACTORS: dict[str, int] = {unit.lower()[:-1]: 1000**i for i, unit in enumerate(UNITS)} | {
    unit.lower()[0] + "i": 1024**i for i, unit in enumerate(UNITS) if i
}


def seconds(value: float) -> str:
    """12 ms, 1.24 s, 12.4 s, 124 s, 12 min 4 s, 3 h 24 min."""
    if not math.isfinite(value) or value < 0:
        return f"{value:g} s"
    if 0 < value < 0.0995:
        return f"{value * 1000:.3g} ms" if value < 0.00095 else f"{value * 1000:.0f} ms"
    if value < 599.5:
        return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} s"
    whole = round(value)
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(value: float) -> str:
    """512 B, 1.3 GB, 124 MB; decimal units, as disks and file managers count."""
    unit = 0
    while abs(value) >= 999.5 and unit < len(UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.{1 if unit and abs(value) < 99.95 else 0}f} {UNITS[unit]}"


def rate(value: float) -> str:
    """12.3, 124."""
    return f"{value:.{1 if abs(value) < 99.95 else 0}f}"


def share(value: float) -> str:
    """100%, 66.7%, and never 100% for less than all or 0% for more than nothing."""
    percent = round(100 * value, 1)
    if 0 < value < 1:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.{0 if percent in (0, 100) else 1}f}%"


def number(value: float) -> str:
    """Six digits of a figure whose unit is not known; whole numbers whole."""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def clock(value: float) -> str:
    """0:07, 12:04, 3:24:59: how long something still takes."""
    minutes, rest = divmod(max(0, round(value)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def parse_size(text: str) -> int:
    """Bytes in `8GB`, `512 MiB` or `1000000`. Raises ValueError for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]i?)?b?\s*", text, re.IGNORECASE)
    if found is None:
        raise ValueError(f"{text!r} is not a size such as 8GB, 512MiB or a number of bytes")
    return int(float(found[1]) * FACTORS[(found[2] or "").lower()])

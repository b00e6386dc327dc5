"""Parses times of day and dates: 07:00, 23:30, 2026-11-24 07:00; always in the future.

A time without a date is in local time, today or, when it has passed, tomorrow.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ..errors import VlmsweepError


class HourError(VlmsweepError):
    """Not a time, or a time in the past."""


def parse(text: str, now: datetime) -> datetime:
    """Return the next such time after `now`; both have a time zone. Raises HourError."""
    local = now.astimezone()
    if found := re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*", text):
        hour, minute = int(found[1]), int(found[2])
        if hour > 23 or minute > 59:
            raise HourError(f"{text!r} is not a time of day", hint="such as 07:00 or 23:30")
        # In wall-clock time: a day with a daylight saving change is shorter or longer.
        bare = local.replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
        moment = bare.astimezone()
        return moment if moment > local else (bare + timedelta(days=1)).astimezone()
    try:
        moment = datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError, OSError):
        raise HourError(
            f"{text!r} is not a time", hint="such as 07:00, or 2026-11-24 07:00"
        ) from None
    if moment <= local:
        raise HourError(f"{text!r} has passed")
    return moment

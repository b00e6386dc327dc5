"""Hours as people write them: 07:00, 23:30, 2026-11-24 07:00. Always the next one that comes.

Without a date an hour is of the local clock, today or, when it has passed, tomorrow.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ..errors import VlmsweepError


class HourError(VlmsweepError):
    """That is no hour."""


def parse(text: str, now: datetime) -> datetime:
    """The moment meant, with its time zone. `now` has one too. Raises HourError."""
    local = now.astimezone()
    if found := re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*", text):
        hour, minute = int(found[1]), int(found[2])
        if hour > 23 or minute > 59:
            raise HourError(f"{text!r} is no time of day", hint="such as 07:00 or 23:30")
        # By the clock on the wall: where it is put forward in between, the day is shorter.
        bare = local.replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
        moment = bare.astimezone()
        return moment if moment > local else (bare + timedelta(days=1)).astimezone()
    try:
        moment = datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError, OSError):
        raise HourError(f"{text!r} is no hour", hint="such as 07:00, or 2026-11-24 07:00") from None
    if moment <= local:
        raise HourError(f"{text!r} has passed")
    return moment

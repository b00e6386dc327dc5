"""When a request to a server that cannot answer now is sent again, and when to give up.

Pure functions and values: no clock, no sleep, no request.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

LONGEST_NUMBER = 20  # digits; more than that is not a time


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Delays between attempts: `first_s`, growing by `factor` up to `largest_s`.

    Up to `jitter` of each delay is added at random, so that several clients do not ask at the
    same moment. The attempts end after `limit_s` seconds; None has no limit.
    """

    limit_s: float | None
    first_s: float = 0.5
    factor: float = 2.0
    largest_s: float = 30.0
    jitter: float = 0.25
    random: random.Random = field(default_factory=random.Random)

    def delay_s(
        self, attempt: int, elapsed_s: float, retry_after_s: float | None = None
    ) -> float | None:
        """Seconds until the next attempt, or None to give up.

        `attempt` is the number of attempts that failed, `elapsed_s` the time since the first of
        them. The delay is never shorter than the server's `retry_after_s`.
        """
        left_s = math.inf if self.limit_s is None else self.limit_s - elapsed_s
        if left_s <= 0 or (retry_after_s or 0.0) > left_s:
            return None
        growth = self.factor ** min(attempt - 1, 60)
        delay_s = max(min(self.largest_s, self.first_s * growth), retry_after_s or 0.0)
        delay_s *= 1 + self.jitter * self.random.random()
        return max(min(delay_s, left_s), retry_after_s or 0.0)


def parse_retry_after(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds until the server accepts another request, from its headers; None if not given.

    `headers` have lower-case names; `now_s` is the time since the epoch, used when the response
    has no date of its own. A value that is neither a number nor a date is ignored.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "").strip()
    seconds = _number(value)
    if seconds is not None:
        return seconds
    when_s = _date(value)
    if when_s is None:
        return None
    server_now_s = _date(headers.get("date", ""))
    return max(0.0, when_s - (now_s if server_now_s is None else server_now_s))


def _number(text: str) -> float | None:
    """A decimal number of 0 or more; infinity for one with very many digits."""
    text = text.strip()
    digits, _, fraction = text.partition(".")
    if not (digits.isascii() and digits.isdigit()):
        return None
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        return None
    return math.inf if len(digits.lstrip("0")) > LONGEST_NUMBER else float(text)


def _date(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date; None if it is not one."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None

"""Confidence interval of a mean score."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

Z = 1.959963984540054  # of 95%


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """The 95 % confidence interval of a mean."""

    low: float
    high: float


def interval(mean: float, n: int) -> ConfidenceInterval | None:
    """Wilson's score interval of a mean of n values between 0 and 1; None without values.

    For values that are 0 or 1 it is Wilson's own. Others vary less than such of the same mean (at
    most mean x (1 - mean)), so that for them it errs on the wide side. Unlike a t-interval or a
    bootstrap it stays within 0 and 1, and has a width even if all values are equal.
    """
    if n < 1:
        return None
    share = min(max(mean, 0.0), 1.0)
    middle = share + Z * Z / (2 * n)
    reach = Z * sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    # Exact at the ends, where rounding would make 0.9999999999999999 of it, shown as 99.9%.
    low = 0.0 if share == 0 else max(0.0, (middle - reach) / scale)
    high = 1.0 if share == 1 else min(1.0, (middle + reach) / scale)
    return ConfidenceInterval(low, high)

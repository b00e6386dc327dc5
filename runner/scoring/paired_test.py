"""Whether two means over the same questions differ by more than chance explains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import erfc, sqrt

from .confidence import ConfidenceInterval, interval

STEPS = 1000  # differences are counted in thousandths
MOST_SUMS = 20_000
MOST_PAIRS = 1000


def p_value(differences: Sequence[float], most_sums: int = MOST_SUMS) -> float:
    """The two-sided p-value of the sign-flip permutation test; 1 without any difference.

    For scores of 0 or 1 it is McNemar's exact test. With more than `most_sums` different sums,
    which take too long to count, the normal distribution of the same variance is used.
    """
    steps = [abs(round(value * STEPS)) for value in differences if round(value * STEPS)]
    total = abs(sum(round(value * STEPS) for value in differences))
    if not steps:
        return 1.0
    sums: dict[int, float] = {0: 1.0}
    if len(steps) > MOST_PAIRS:
        return erfc(total / sqrt(2 * sum(step * step for step in steps)))
    for step in steps:
        flipped: dict[int, float] = defaultdict(float)
        for value, share in sums.items():
            flipped[value + step] += share / 2
            flipped[value - step] += share / 2
        sums = flipped
        if len(sums) > most_sums:
            return erfc(total / sqrt(2 * sum(step * step for step in steps)))
    return min(1.0, sum(share for value, share in sums.items() if abs(value) >= total))


def difference_interval(a: Sequence[float], b: Sequence[float]) -> ConfidenceInterval | None:
    """The 95% interval of mean(b) - mean(a) over pairs of scores; None without pairs.

    Newcombe's interval for paired shares (Statistics in Medicine 17 (1998), 2635-2650, method 10
    without correction), from the intervals of both means and the correlation of the pairs.
    """
    n = len(a)
    mean_a, mean_b = (sum(values) / n if n else 0.0 for values in (a, b))
    of_a, of_b = interval(mean_a, n), interval(mean_b, n)
    if of_a is None or of_b is None:
        return None
    related = correlation(a, b)
    difference = mean_b - mean_a
    below = reach(mean_b - of_b.low, of_a.high - mean_a, related)
    above = reach(of_b.high - mean_b, mean_a - of_a.low, related)
    return ConfidenceInterval(max(-1.0, difference - below), min(1.0, difference + above))


def reach(one: float, other: float, related: float) -> float:
    """The distance of two related errors."""
    return sqrt(max(0.0, one * one + other * other - 2 * related * one * other))


def correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's correlation; 0 where one side does not vary."""
    n = len(a)
    mean_a, mean_b = sum(a) / n, sum(b) / n
    spread_a = sum((x - mean_a) ** 2 for x in a)
    spread_b = sum((y - mean_b) ** 2 for y in b)
    if spread_a <= 0 or spread_b <= 0:
        return 0.0
    shared = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return shared / sqrt(spread_a * spread_b)

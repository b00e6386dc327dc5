"""Ratios of times and memory, B over A, each with an interval from the pairs.

The figure is the median of the pairs' own ratios, since jobs differ more from each other than from
themselves. The interval is the 95 % confidence interval of that median by order statistics (no
distribution is assumed) where there are six pairs or more, and the whole range of the ratios where
there are two to five; one pair has none. Unknown is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from statistics import NormalDist, median

from .pairing import JobPair
from .side import SnapshotModel

CONFIDENCE = 0.95
EXACT = 500  # pairs up to which the coin is tossed exactly
FIGURES = ("latency_s", "ttft_s", "generation_tps", "output_tokens")
MEMORY = {"peak_rss_bytes": "peak_rss_method", "peak_device_bytes": "peak_device_method"}


@dataclass(frozen=True, slots=True)
class Ratio:
    """B over A. `low` and `high` are the interval, None if it is unknown."""

    ratio: float | None
    low: float | None
    high: float | None
    pairs: int

    def exceeds(self, limit: float) -> bool:
        """Whether the spread says that it is more than `limit`."""
        return self.low is not None and self.low > limit


EMPTY = Ratio(None, None, None, 0)


def ratios(answered: Sequence[JobPair], a: SnapshotModel, b: SnapshotModel) -> dict[str, Ratio]:
    """Of a model's pairs with two answers, each figure's ratio."""
    found = {"load_s": load_ratio(a, b)}
    for key in FIGURES:
        found[key] = median_ratio([(p.a[key], p.b[key]) for p in answered if p.a and p.b])
    for key, method in MEMORY.items():
        # A peak by another method is another figure.
        alike = [(p.a, p.b) for p in answered if p.a and p.b and p.a[method] == p.b[method]]
        found[key] = median_ratio([(mine[key], other[key]) for mine, other in alike])
    return found


def median_ratio(figures: Iterable[tuple[float | None, float | None]]) -> Ratio:
    """The ratio of pairs of figures; pairs where one is unknown do not count."""
    known = sorted(b / a for a, b in figures if a and b is not None)
    if not known:
        return EMPTY
    if len(known) == 1:
        return Ratio(known[0], None, None, 1)
    low, high = median_confidence_interval(known)
    return Ratio(median(known), low, high, len(known))


def median_confidence_interval(known: Sequence[float]) -> tuple[float, float]:
    """The narrowest pair of order statistics that holds the median with the confidence wanted."""
    out = order_statistic_index(len(known))
    return known[out], known[-1 - out]


@cache
def order_statistic_index(count: int) -> int:
    """The number of `count` sorted ratios to leave out at either end of the interval."""
    if count > EXACT:
        return int(count / 2 - NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * count**0.5 / 2)
    missed, out = 0.0, 0
    while out < count // 2:
        missed += 2 * comb(count, out) / 2**count
        if 1 - missed < CONFIDENCE:
            break
        out += 1
    return max(0, out - 1)


def load_ratio(a: SnapshotModel, b: SnapshotModel) -> Ratio:
    """Of loads, which have no pairs: medians, with the range of all that could be paired."""
    mine = [worker["load_s"] for worker in a.workers if worker["load_s"]]
    other = [worker["load_s"] for worker in b.workers if worker["load_s"]]
    if not mine or not other:
        return EMPTY
    count = min(len(mine), len(other))
    ratio = median(other) / median(mine)
    if count == 1:
        return Ratio(ratio, None, None, 1)
    return Ratio(ratio, min(other) / max(mine), max(other) / min(mine), count)

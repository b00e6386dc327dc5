"""Estimates the duration of a sweep from earlier measurements of its models."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..database.estimates import Estimate, estimate
from ..database.reader import Reader
from ..errors import VlmsweepError
from ..planning.plan import Plan
from ..text import units
from .finding import Finding, LoadVariant

Estimates = Mapping[tuple[str, str], Estimate]


@dataclass(frozen=True, slots=True)
class ExpectedDuration:
    """Expected seconds of the measured models, and the names of models never measured."""

    known_s: float
    unknown: tuple[str, ...]


def load_estimates(
    variants: Sequence[LoadVariant], database: Path | None
) -> dict[tuple[str, str], Estimate]:
    """Return the estimates of the variants' models; empty without a readable database."""
    if database is None or not database.is_file():
        return {}
    places = {(variant.source, variant.load.model) for variant in variants}
    try:
        with Reader(database) as reader:
            return {place: estimate(reader.connection, *place) for place in places}
    except (VlmsweepError, sqlite3.Error):
        return {}


def expected(plan: Plan, known: Estimates) -> ExpectedDuration:
    """Return the expected duration of a sweep, with one worker at a time and no fallback."""
    jobs = Counter(job.entry for job in plan.jobs if job.skip_reason is None)
    total, unknown = 0.0, []
    for entry in plan.entries:
        if not (count := jobs[entry.position]):
            continue
        place = (entry.place.source, entry.place.location)
        takes_s = known.get(place, Estimate()).takes_s(count)
        total += takes_s or 0.0
        unknown += [entry.name] if takes_s is None else []
    return ExpectedDuration(total, tuple(unknown))


def check_duration(variants: Sequence[LoadVariant], known: Estimates) -> Iterator[Finding]:
    """Yield a warning for each limit that is below an earlier measurement."""
    for variant in variants:
        seen = known.get((variant.source, variant.load.model), Estimate())
        for name, took in (("load_s", seen.load_s), ("run_s", seen.latency_s)):
            limit = getattr(variant.limits, name)
            if took is not None and took > limit:
                message = f"it took {units.seconds(took)} before, over its {name} of {limit:g}"
                yield Finding("warning", name, variant.name, message, f"raise limits.{name}")

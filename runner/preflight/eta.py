"""How long a sweep will take, from what its models took before."""

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
    """Seconds the known models will take, and the names of those never measured."""

    known_s: float
    unknown: tuple[str, ...]


def load_estimates(
    variants: Sequence[LoadVariant], database: Path | None
) -> dict[tuple[str, str], Estimate]:
    """What is known of each way's model; nothing where there is no history yet."""
    if database is None or not database.is_file():
        return {}
    places = {(variant.source, variant.load.model) for variant in variants}
    try:
        with Reader(database) as reader:
            return {place: estimate(reader.connection, *place) for place in places}
    except (VlmsweepError, sqlite3.Error):
        return {}


def expected(plan: Plan, known: Estimates) -> ExpectedDuration:
    """The whole sweep's, one worker after another, no fallback needed."""
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


def findings(variants: Sequence[LoadVariant], known: Estimates) -> Iterator[Finding]:
    """Limits that what was measured before would break."""
    for variant in variants:
        seen = known.get((variant.source, variant.load.model), Estimate())
        for name, took in (("load_s", seen.load_s), ("run_s", seen.latency_s)):
            limit = getattr(variant.limits, name)
            if took is not None and took > limit:
                said = f"it took {units.seconds(took)} before, over its {name} of {limit:g}"
                yield Finding("warning", name, variant.name, said, f"raise limits.{name}")

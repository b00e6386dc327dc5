"""One thing that was found, and the ways to load models that it is found about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from schemas.commands import Load
from schemas.sweep import Limits

from ..planning.jobs import Place, Plan

Severity = Literal["problem", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """`severity`: a problem means that jobs will fail, a warning that they may, a note neither.

    `about` is the part of preflight, `where` the model, picture or place it concerns.
    """

    severity: Severity
    about: str
    where: str
    message: str
    hint: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to load a model of the sweep; `last` when no other is tried after it."""

    model: str
    name: str
    place: Place
    limits: Limits
    last: bool

    @property
    def severity(self) -> Severity:
        """How bad it is when it cannot be gone."""
        return "problem" if self.last else "warning"

    def load(self) -> Load:
        """What a worker would be asked."""
        how = self.place.how
        return Load(
            model=self.place.location,
            local=self.place.source == "local",
            revision=how.revision,
            engine=how.engine,
            dtype=how.dtype,
            device=how.device,
            trust_remote_code=how.trust_remote_code,
            allow_pickle=how.allow_pickle,
        )


def ways(plan: Plan) -> Iterator[Way]:
    """All ways of all models that have jobs."""
    busy = {job.entry for job in plan.jobs if job.skip_reason is None}
    for entry in plan.entries:
        if entry.position not in busy:
            continue
        places = (entry.place, *entry.fallbacks)
        for number, place in enumerate(places):
            name = f"{entry.name} (fallback {number})" if number else entry.name
            yield Way(entry.name, name, place, entry.limits, number == len(places) - 1)

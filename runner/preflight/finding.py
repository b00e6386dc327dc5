"""A preflight finding, and the model variants that are checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from schemas.commands import Load
from schemas.sweep import Limits

from ..environments import cache
from ..planning.plan import LoadTarget, Plan
from ..supervisor.queue import QueuedModel

Severity = Literal["problem", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """`severity`: a problem means that jobs will fail, a warning that they may, a note neither.

    `about` is the kind of finding, `where` the model, image or folder concerned.
    """

    severity: Severity
    kind: str
    subject: str
    message: str
    hint: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LoadVariant:
    """A model, or one of its fallbacks; `last` when no fallback follows.

    `python` is the interpreter of its workers, `requirements` the packages of its environment.
    """

    name: str
    source: str
    load: Load
    limits: Limits
    last: bool
    python: str | None
    requirements: tuple[str, ...] | None

    @property
    def severity(self) -> Severity:
        """Return the severity of a variant that cannot be loaded."""
        return "problem" if self.last else "warning"


def plan_variants(plan: Plan) -> Iterator[LoadVariant]:
    """Yield the variants of all models that have jobs."""
    busy = {job.entry for job in plan.jobs if job.skip_reason is None}
    for entry in plan.entries:
        if entry.position not in busy:
            continue
        places = (entry.place, *entry.fallbacks)
        for number, place in enumerate(places):
            yield LoadVariant(
                name=f"{entry.name} (fallback {number})" if number else entry.name,
                source=place.source,
                load=load_command(place),
                limits=entry.limits,
                last=number == len(places) - 1,
                python=place.python,
                requirements=place.requirements,
            )


def load_command(place: LoadTarget) -> Load:
    """Return the load command that a worker would get."""
    how = place.how
    return Load(
        model=place.location,
        local=place.source == "local",
        revision=how.revision,
        **how.load_spec().options(),
    )


def queued_variants(models: Iterable[QueuedModel]) -> Iterator[LoadVariant]:
    """Yield the variants of queued models, without duplicates."""
    seen = set()
    for model in models:
        made = model.python is not None and cache.find_cached_environment(model.python) is not None
        variant = LoadVariant(
            name=model.name if model.id == model.first else f"{model.name} (fallback)",
            source=model.source,
            load=model.load,
            limits=model.limits,
            last=model.next_variant is None,
            python=model.python,
            requirements=() if made else None,
        )
        key = (variant.name, json.dumps(asdict(variant.load)), variant.python)
        if key not in seen:
            seen.add(key)
            yield variant

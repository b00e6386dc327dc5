"""Looks at everything a sweep needs, and says what it found, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas import stream
from schemas.stream import EventSink

from ..environments import resolve
from ..errors import VlmsweepError
from ..planning.plan import Plan
from ..supervisor.queue import Queue
from ..text.units import pluralize
from . import devices, eta, images, memory, models, probe, servers
from .eta import ExpectedDuration
from .finding import SEVERITIES, Finding, LoadVariant, plan_variants, queued_variants

LATEST = "9999"  # an hour that holds nothing back


class PreflightError(VlmsweepError):
    """Problems were found, and the user wants no sweep with any."""


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """All that was found, and how long the sweep will take by what is known."""

    findings: tuple[Finding, ...]
    expected: ExpectedDuration

    def of(self, severity: str) -> list[Finding]:
        """The findings of one severity."""
        return [found for found in self.findings if found.severity == severity]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "findings": [found.as_dict() for found in self.findings],
            "expected_s": self.expected.known_s,
            "never_measured": list(self.expected.unknown),
        }


def run_preflight(
    plan: Plan, database: Path | None, *, hub: bool = True, made: bool = False
) -> PreflightReport:
    """What stands in a plan's way. Takes a second or two as a rule, bounded in any case.

    `hub` asks the hub about models that are not on disk (unless offline), `made` tells that
    environments have been made. `database` is where history lies and results will.
    """
    if not made:
        plan = resolve.with_expected_interpreters(plan)
    asked = list(plan_variants(plan))
    known = eta.load_estimates(asked, database)
    found = [
        *of_models(asked, known, hub, made),
        *images.findings(plan, database or Path.cwd()),
    ]
    found.sort(key=lambda one: SEVERITIES.index(one.severity))
    return PreflightReport(tuple(found), eta.expected(plan, known))


def of_models(
    asked: Sequence[LoadVariant], known: eta.Estimates, hub: bool, made: bool
) -> Iterator[Finding]:
    """All but the images."""
    outlooks = probe.probe_variants(asked, hub, made)
    yield from models.findings(outlooks)
    yield from servers.findings(asked)
    yield from memory.findings(outlooks, known, devices.nvidia_devices())
    yield from eta.findings(asked, known)


def check_queue(queue: Queue, database: Path, emit: EventSink) -> None:
    """Looks at the models of what waits in a database, and tells what was found.

    Its images were prepared when it was stored.
    """
    asked = list(queued_variants(queue.ready(LATEST)))
    found = list(of_models(asked, eta.load_estimates(asked, database), hub=True, made=True))
    emit_findings(sorted(found, key=lambda one: SEVERITIES.index(one.severity)), emit)


def emit_findings(findings: Iterable[Finding], emit: EventSink) -> None:
    """Tells problems and warnings; of broken images preparing them tells in a moment."""
    for found in findings:
        if found.severity != "note" and found.about != images.IMAGE:
            emit(stream.PreflightFinding(**found.as_dict()))


def raise_on_problems(seen: PreflightReport) -> None:
    """Raises PreflightError with all problems, if there are any."""
    problems = seen.of("problem")
    if problems:
        lines = "".join(f"\n  {one.where}: {one.message}" for one in problems)
        count = (
            f"{pluralize(len(problems), 'problem')} {'stands' if len(problems) == 1 else 'stand'}"
        )
        raise PreflightError(f"{count} in the way:{lines}", hint="without --strict it runs")

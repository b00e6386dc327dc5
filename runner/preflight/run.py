"""Runs all preflight checks and returns their findings, the most severe first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas import stream
from schemas.stream import EventSink

from ..database.usable import check_usable
from ..environments import resolve
from ..errors import DatabaseError, VlmsweepError
from ..planning.plan import Plan
from ..supervisor.queue import Queue
from ..text.sanitize import display_path
from ..text.units import pluralize
from . import devices, eta, images, memory, models, probe, servers
from .eta import ExpectedDuration
from .finding import SEVERITIES, Finding, LoadVariant, plan_variants, queued_variants

LATEST = "9999"  # a start time after which every job is due


class PreflightError(VlmsweepError):
    """Problems were found, and the user chose `--strict`."""


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """The findings, and the expected duration of the sweep."""

    findings: tuple[Finding, ...]
    expected: ExpectedDuration

    def of(self, severity: str) -> list[Finding]:
        """Return the findings of one severity."""
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
    """Check a plan. Usually takes one or two seconds; every check has a time limit.

    `hub`: query the hub about models that are not on disk (unless offline); `made`: environments
    have been created, and the database checked. `database` is read for earlier measurements, if it
    exists.
    """
    if not made:
        plan = resolve.with_expected_interpreters(plan)
    asked = list(plan_variants(plan))
    known = eta.load_estimates(asked, database)
    found = [
        *(check_database(database) if database and not made else ()),
        *of_models(asked, known, hub, made),
        *images.check_images(plan, database or Path.cwd()),
    ]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return PreflightReport(tuple(found), eta.expected(plan, known))


def check_database(database: Path) -> Iterator[Finding]:
    """Yield a problem if no sweep could be stored at that path."""
    try:
        check_usable(database)
    except DatabaseError as error:
        yield Finding("problem", "database", display_path(database), error.message, error.hint)


def of_models(
    asked: Sequence[LoadVariant], known: eta.Estimates, hub: bool, made: bool
) -> Iterator[Finding]:
    """Yield all findings except those about images."""
    on_disk = [variant for variant in asked if variant.source != "server"]
    outlooks = probe.probe_variants(on_disk, hub, made)
    yield from models.check_models(outlooks)
    yield from servers.check_servers(asked, made)
    yield from memory.check_memory(outlooks, known, devices.nvidia_devices())
    yield from eta.check_duration(asked, known)


def check_queue(queue: Queue, database: Path, emit: EventSink) -> None:
    """Check the models of queued jobs and emit the findings.

    Images are not checked: they were prepared when the sweep was stored.
    """
    asked = list(queued_variants(queue.ready(LATEST)))
    found = list(of_models(asked, eta.load_estimates(asked, database), hub=True, made=True))
    emit_findings(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)), emit)


def emit_findings(findings: Iterable[Finding], emit: EventSink) -> None:
    """Emit problems and warnings, except for images: preparing them reports each.

    Of the notes, only those about omitted metadata are emitted.
    """
    for found in findings:
        shown = found.severity != "note" or found.kind == images.LEFT_OUT
        if shown and found.kind != images.IMAGE:
            emit(stream.PreflightFinding(**found.as_dict()))


def raise_on_problems(seen: PreflightReport) -> None:
    """Raises PreflightError with all problems, if there are any."""
    problems = seen.of("problem")
    if problems:
        lines = "".join(f"\n  {problem.subject}: {problem.message}" for problem in problems)
        count = pluralize(len(problems), "problem")
        raise PreflightError(f"{count} found before the start:{lines}", hint="omit --strict to run")

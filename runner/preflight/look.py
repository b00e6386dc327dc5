"""Looks at everything a sweep needs, and says what it found, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas import stream
from schemas.stream import Tell

from ..errors import VlmsweepError
from ..interpreters import resolving
from ..planning.plan import Plan
from ..work.queue import Queue
from . import devices, duration, forecast, memory, models, pictures, servers
from .duration import Expected
from .finding import SEVERITIES, Finding, Way, stored, ways

LATEST = "9999"  # an hour that holds nothing back


class PreflightError(VlmsweepError):
    """Problems were found, and the user wants no sweep with any."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """All that was found, and how long the sweep will take by what is known."""

    findings: tuple[Finding, ...]
    expected: Expected

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


def look(plan: Plan, database: Path | None, *, hub: bool = True, made: bool = False) -> Preflight:
    """What stands in a plan's way. Takes a second or two as a rule, bounded in any case.

    `hub` asks the hub about models that are not on disk (unless offline), `made` tells that
    environments have been made. `database` is where history lies and results will.
    """
    plan = resolving.located(plan)
    asked = list(ways(plan))
    known = duration.history(asked, database)
    found = [
        *of_models(asked, known, hub, made),
        *pictures.findings(plan, database or Path.cwd()),
    ]
    found.sort(key=lambda one: SEVERITIES.index(one.severity))
    return Preflight(tuple(found), duration.expected(plan, known))


def of_models(
    asked: Sequence[Way], known: duration.Estimates, hub: bool, made: bool
) -> Iterator[Finding]:
    """All but the pictures."""
    outlooks = forecast.ask(asked, hub, made)
    yield from models.findings(outlooks)
    yield from servers.findings(asked)
    yield from memory.findings(outlooks, known, devices.nvidia())
    yield from duration.findings(asked, known)


def again(queue: Queue, database: Path, tell: Tell) -> None:
    """Looks at the models of what waits in a database, and tells what was found.

    Its pictures were prepared when it was stored.
    """
    asked = list(stored(queue.ready(LATEST)))
    found = list(of_models(asked, duration.history(asked, database), hub=True, made=True))
    say(sorted(found, key=lambda one: SEVERITIES.index(one.severity)), tell)


def say(findings: Iterable[Finding], tell: Tell) -> None:
    """Tells problems and warnings; of broken pictures preparing them tells in a moment."""
    for found in findings:
        if found.severity != "note" and found.about != pictures.PICTURE:
            tell(stream.PreflightFinding(**found.as_dict()))


def before(plan: Plan, database: Path, tell: Tell, *, strict: bool = False) -> Plan:
    """Makes the environments, looks, and tells what was found: what comes before every start.

    Returns the plan as it will run. Raises PreflightError when `strict` and jobs would fail.
    """
    plan, _ = resolving.resolve(plan, tell)
    seen = look(plan, database, made=True)
    say(seen.findings, tell)
    if strict:
        refuse(seen)
    return plan


def refuse(seen: Preflight) -> None:
    """Raises PreflightError with all problems, if there are any."""
    problems = seen.of("problem")
    if problems:
        lines = "".join(f"\n  {one.where}: {one.message}" for one in problems)
        count = f"{len(problems)} problems stand" if len(problems) > 1 else "1 problem stands"
        raise PreflightError(f"{count} in the way:{lines}", hint="without --strict it runs")

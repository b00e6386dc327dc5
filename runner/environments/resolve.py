"""Makes ready every environment that a plan, or a stored sweep, needs before it runs.

One that cannot be made costs its model alone: the model's place then names an interpreter that
is not there, `runner.environments.worker_command` refuses it with the reason, and its jobs fail or fall
back like those of any model that cannot be loaded.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from schemas import stream
from schemas.stream import EventSink

from ..planning.plan import LoadTarget, Plan, PlannedModel
from ..text.sanitize import one_line
from . import build, cache
from .probe import InterpreterError, probe
from .worker_command import check


@dataclass(frozen=True, slots=True)
class EnvironmentFailure:
    """A model's environment that cannot be used, and why."""

    model: str
    message: str
    hint: str | None


Outcome = tuple[str | None, InterpreterError | None]
Known = dict[tuple[str | None, tuple[str, ...] | None], Outcome]


def resolve_environments(plan: Plan, emit: EventSink) -> tuple[Plan, list[EnvironmentFailure]]:
    """The plan with the interpreter that each model runs in, made where need be.

    Blocks while environments are made, one after another, each within its model's download_s.
    """
    unmade: list[EnvironmentFailure] = []
    known: Known = {}
    entries = [resolve_model(entry, emit, unmade, known) for entry in plan.entries]
    return replace(plan, entries=tuple(entries)), unmade


def resolve_model(
    entry: PlannedModel, emit: EventSink, unmade: list[EnvironmentFailure], known: Known
) -> PlannedModel:
    """A model with its interpreters, and its fallbacks'; what is known is not tried twice."""

    def settled(place: LoadTarget) -> LoadTarget:
        wanted = (place.python, place.requirements)
        if wanted not in known:
            known[wanted] = resolve_interpreter(entry.name, *wanted, emit, entry.limits.download_s)
        python, problem = known[wanted]
        if problem is not None:
            unmade.append(EnvironmentFailure(entry.name, problem.message, problem.hint))
        return replace(place, python=python)

    fallbacks = tuple(settled(place) for place in entry.fallbacks)
    return replace(entry, place=settled(entry.place), fallbacks=fallbacks)


def resolve_interpreter(
    model: str,
    python: str | None,
    requirements: Sequence[str] | None,
    emit: EventSink,
    limit_s: float,
    on_idle: Callable[[], None] | None = None,
) -> Outcome:
    """The interpreter that one model's workers run in, and what is wrong with it."""
    if (
        python is not None
        and requirements is not None
        and cache.find_cached_environment(python) is not None
    ):
        return python, environment_error(python)  # settled before
    base = python or sys.executable
    reporter = EnvironmentProgressReporter(model, emit)
    try:
        if requirements is None:
            if python is not None:
                probe(python)
            return python, None
        made = build.build(base, requirements, reporter.making, limit_s, on_idle)
        reporter.end("ready", "the environment is ready")
    except InterpreterError as error:
        reporter.end("failed", error.message)
        return expected_interpreter(base, requirements), error
    return str(made.python), None


def environment_error(python: str) -> InterpreterError | None:
    """Why an environment of ours is not there; None when it is."""
    try:
        check(python)
    except InterpreterError as error:
        return error
    return None


def with_expected_interpreters(plan: Plan) -> Plan:
    """The plan with the interpreters that there would be; nothing is made."""

    def settled(place: LoadTarget) -> LoadTarget:
        if place.requirements is None or (
            place.python and cache.find_cached_environment(place.python)
        ):
            return place
        return replace(
            place, python=expected_interpreter(place.python or sys.executable, place.requirements)
        )

    entries = [
        replace(e, place=settled(e.place), fallbacks=tuple(map(settled, e.fallbacks)))
        for e in plan.entries
    ]
    return replace(plan, entries=tuple(entries))


def expected_interpreter(base: str, requirements: Sequence[str] | None) -> str:
    """The interpreter that would have been; one that does not answer stands for itself."""
    if requirements is None:
        return base
    try:
        return str(cache.cached_environment(probe(base), requirements).python)
    except InterpreterError:
        return base


def restore_environments(
    pythons: Sequence[tuple[str, str]], emit: EventSink, on_idle: Callable[[], None] | None = None
) -> None:
    """Makes again the environments of a stored sweep (model, interpreter) that are not there."""
    for model, python in dict.fromkeys(pythons):
        slot = cache.find_cached_environment(python)
        if slot is None or slot.exists or (note := slot.read()) is None:
            continue
        resolve_interpreter(model, note.base, note.requirements, emit, build.LIMIT_S, on_idle)


class EnvironmentProgressReporter:
    """Tells how the making of one environment goes; says nothing of one that was there."""

    def __init__(self, model: str, emit: EventSink) -> None:
        self.model, self.emit = model, emit
        self.began = time.monotonic()
        self.begun = False

    def making(self, message: str) -> None:
        """A line of what happens."""
        self.begun = True
        self.send("building", message)

    def end(self, state: str, message: str) -> None:
        """How it ended; of one that was there at once there is nothing to tell."""
        if self.begun or state == "failed":
            self.send(state, message)

    def send(self, state: str, message: str) -> None:
        """One event."""
        self.emit(
            stream.EnvironmentProgress(
                model=self.model,
                state=state,
                message=one_line(message),
                elapsed_s=time.monotonic() - self.began,
            )
        )

"""Creates every environment that a plan, or a stored sweep, needs.

If an environment cannot be created, only its model fails: its load target names a missing
interpreter, `runner.environments.worker_command` reports the reason, and its jobs fail or use the
fallback like those of any model that cannot be loaded.
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
from .worker_command import check_interpreter


@dataclass(frozen=True, slots=True)
class EnvironmentFailure:
    """A model whose environment cannot be used, and the error."""

    model: str
    message: str
    hint: str | None


Outcome = tuple[str | None, InterpreterError | None]
Known = dict[tuple[str | None, tuple[str, ...] | None], Outcome]


def resolve_environments(plan: Plan, emit: EventSink) -> tuple[Plan, list[EnvironmentFailure]]:
    """Return the plan with each model's interpreter, and the failures; creates environments.

    Blocks while environments are created, one at a time, each within its model's download_s.
    """
    failures: list[EnvironmentFailure] = []
    known: Known = {}
    entries = [resolve_model(entry, emit, failures, known) for entry in plan.entries]
    return replace(plan, entries=tuple(entries)), failures


def resolve_model(
    entry: PlannedModel, emit: EventSink, failures: list[EnvironmentFailure], known: Known
) -> PlannedModel:
    """Return a model with the interpreters of all its variants; `known` caches outcomes."""

    def resolved(place: LoadTarget) -> LoadTarget:
        wanted = (place.python, place.requirements)
        if wanted not in known:
            known[wanted] = resolve_interpreter(entry.name, *wanted, emit, entry.limits.download_s)
        python, problem = known[wanted]
        if problem is not None:
            failures.append(EnvironmentFailure(entry.name, problem.message, problem.hint))
        return replace(place, python=python)

    fallbacks = tuple(resolved(place) for place in entry.fallbacks)
    return replace(entry, place=resolved(entry.place), fallbacks=fallbacks)


def resolve_interpreter(
    model: str,
    python: str | None,
    requirements: Sequence[str] | None,
    emit: EventSink,
    limit_s: float,
    on_idle: Callable[[], None] | None = None,
) -> Outcome:
    """Return the interpreter of a model's workers, and its error if it cannot be used."""
    if (
        python is not None
        and requirements is not None
        and cache.find_cached_environment(python) is not None
    ):
        return python, environment_error(python)  # resolved earlier
    base = python or sys.executable
    reporter = EnvironmentProgressReporter(model, emit)
    try:
        if requirements is None:
            if python is not None:
                probe(python)
            return python, None
        environment = build.build(base, requirements, reporter.progress, limit_s, on_idle)
        reporter.end("ready", "the environment is ready")
    except InterpreterError as error:
        reporter.end("failed", error.message)
        return expected_interpreter(base, requirements), error
    return str(environment.python), None


def environment_error(python: str) -> InterpreterError | None:
    """Return the error of a cached environment; None if it is usable."""
    try:
        check_interpreter(python)
    except InterpreterError as error:
        return error
    return None


def with_expected_interpreters(plan: Plan) -> Plan:
    """Return the plan with the interpreters it would have; creates nothing."""

    def resolved(place: LoadTarget) -> LoadTarget:
        if place.requirements is None or (
            place.python and cache.find_cached_environment(place.python)
        ):
            return place
        return replace(
            place, python=expected_interpreter(place.python or sys.executable, place.requirements)
        )

    entries = [
        replace(e, place=resolved(e.place), fallbacks=tuple(map(resolved, e.fallbacks)))
        for e in plan.entries
    ]
    return replace(plan, entries=tuple(entries))


def expected_interpreter(base: str, requirements: Sequence[str] | None) -> str:
    """Return the path the interpreter would have; `base` itself if it does not work."""
    if requirements is None:
        return base
    try:
        return str(cache.cached_environment(probe(base), requirements).python)
    except InterpreterError:
        return base


def restore_environments(
    pythons: Sequence[tuple[str, str]], emit: EventSink, on_idle: Callable[[], None] | None = None
) -> None:
    """Recreate the missing environments of a stored sweep, given as (model, interpreter)."""
    for model, python in dict.fromkeys(pythons):
        slot = cache.find_cached_environment(python)
        if slot is None or slot.exists or (note := slot.read()) is None:
            continue
        resolve_interpreter(model, note.base, note.requirements, emit, build.LIMIT_S, on_idle)


class EnvironmentProgressReporter:
    """Emits the progress of creating one environment; nothing if it exists already."""

    def __init__(self, model: str, emit: EventSink) -> None:
        self.model, self.emit = model, emit
        self.started_s = time.monotonic()
        self.started = False

    def progress(self, message: str) -> None:
        """Emit a line of progress."""
        self.started = True
        self.send("building", message)

    def end(self, state: str, message: str) -> None:
        """Emit the end; nothing if the environment existed already."""
        if self.started or state == "failed":
            self.send(state, message)

    def send(self, state: str, message: str) -> None:
        """Emit one event."""
        self.emit(
            stream.EnvironmentProgress(
                model=self.model,
                state=state,
                message=one_line(message),
                elapsed_s=time.monotonic() - self.started_s,
            )
        )

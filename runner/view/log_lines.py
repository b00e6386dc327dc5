"""Writes events as plain lines, for logs and pipes.

Lines hold no control characters. A terminal gets `runner.view.live` instead, which keeps some of
the same lines above its display.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

from schemas import stream
from schemas.states import Outcome

from ..text import units
from ..text.sanitize import one_line, truncate
from ..text.units import pluralize
from .background_writer import is_behind

ANSWER_LENGTH = 60
FAILURE_LENGTH = 300


@dataclass(slots=True)
class SweepCounts:
    """A sweep's title, and its jobs per model: in total and finished."""

    title: str
    totals: dict[str, int]
    done: dict[str, int]


@dataclass(slots=True)
class EventCounter:
    """Counts of the running sweeps that log lines need."""

    sweeps: dict[str, SweepCounts] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    creating: str = ""
    fetching: bool = False

    def take(self, event: stream.StreamEvent) -> None:
        """Update the counts by one event."""
        match event:
            case stream.SweepStarted():
                for uid in self.ended:
                    self.sweeps.pop(uid, None)
                self.ended.clear()
                title = event.name or event.sweep
                self.sweeps.pop(event.sweep, None)
                done = totals(event.outcomes_by_model)
                self.sweeps[event.sweep] = SweepCounts(title, event.jobs_by_model, done)
            case stream.JobCountsChanged() if event.sweep in self.sweeps:
                counted = self.sweeps[event.sweep]
                counted.totals = event.jobs_by_model
                counted.done = totals(event.outcomes_by_model)
            case stream.JobsCancelled() if event.sweep in self.sweeps:
                done = self.sweeps[event.sweep].done
                done[event.model] = done.get(event.model, 0) + event.jobs
            case stream.RunFinished() if not event.will_retry:
                if (counts := self.of(event)) is not None:
                    counts.done[event.model] = counts.done.get(event.model, 0) + 1
            case stream.SweepFinished():
                self.ended.add(event.sweep)
            case stream.FetchStarted():
                self.fetching = True

    def of(self, event: stream.SweepScopedEvent) -> SweepCounts | None:
        """Return the counts of an event's sweep, or None if it is unknown."""
        uid = event.sweep if event.sweep is not None else next(reversed(self.sweeps), "")
        return self.sweeps.get(uid)

    def position(self, event: stream.RunFinished) -> str:
        """Return `3/12`: the finished jobs of the run's model and their total."""
        counted = self.of(event)
        if counted is None:
            return "?"
        return f"{counted.done.get(event.model, 0)}/{counted.totals.get(event.model, '?')}"

    def label(self, event: stream.SweepScopedEvent, model: str) -> str:
        """Return the model, with its sweep if several sweeps are running."""
        counted = self.of(event)
        several = len(self.sweeps.keys() - self.ended) > 1
        return f"{counted.title}: {model}" if several and counted else model


class LineLogger:
    """An event sink that writes a line for each event that has one."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.counter = EventCounter()
        self.left_out = 0

    def __call__(self, event: stream.StreamEvent) -> None:
        """Count one event and write its line; left out and counted while nobody reads."""
        self.counter.take(event)
        line = format_event(event, self.counter)
        if not line:
            return
        if is_behind(self.out):
            self.left_out += 1
            return
        if self.left_out:
            self.out.write(f"({pluralize(self.left_out, 'line')} left out: nobody read them)\n")
            self.left_out = 0
        self.out.write(one_line(line) + "\n")
        self.out.flush()


def format_event(event: stream.StreamEvent, counter: EventCounter) -> str | None:
    """Return the event's line, or None if logs leave it out.

    Most events have a line of their own; those here need the sweep's counts, or units.
    """
    line = event.line
    match event:
        case stream.EnvironmentProgress():
            return format_environment(event, counter)
        case stream.ModelFetched():
            return format_fetched(event)
        case stream.SweepFinished():
            counted = counter.sweeps.get(event.sweep)
            name = counted.title if counted else event.sweep
            return f"{name} {event.state}: {format_totals(event)}"
        case stream.WorkerStarted() if counter.fetching:
            line = "fetching"
        case stream.WorkerLoaded():
            line = format_loaded(event)
        case stream.RunFinished():
            line = f"{counter.position(event)} {format_run(event)}"
    if line and isinstance(event, stream.SweepScopedEvent):
        return f"{counter.label(event, getattr(event, 'model', ''))}: {line}"
    return line


def format_environment(event: stream.EnvironmentProgress, counter: EventCounter) -> str | None:
    """Return a line when the environment is first created, when it fails and when it is ready."""
    first, counter.creating = counter.creating != event.model, event.model
    if event.state == "building" and not first and "could not" not in event.message:
        return None
    message = "making its environment" if event.state == "building" and first else event.message
    took = f" in {units.seconds(event.elapsed_s)}" if event.state == "ready" else ""
    return f"{event.model}: {message}{took}"


def format_fetched(event: stream.ModelFetched) -> str:
    """Return the size and duration of a download, or its error with the hint."""
    if event.message is not None:
        hint = f" ({event.hint})" if event.hint else ""
        return f"{event.model}: {event.message}{hint}"
    size = units.size(event.weights_bytes) if event.weights_bytes is not None else "no"
    took = f", in {units.seconds(event.download_s)}" if event.download_s is not None else ""
    return f"{event.model}: on disk, {size} of weights{took}"


def format_loaded(event: stream.WorkerLoaded) -> str:
    """Return the load time, engine, device and number type."""
    how = f"{event.engine}, {event.device}, {event.dtype}"
    fetch = f", after {units.seconds(event.download_s)} of download" if event.download_s else ""
    return f"loaded in {units.seconds(event.load_s)}{fetch} ({how})"


def format_run(event: stream.RunFinished) -> str:
    """Return a run's outcome, duration, image, prompt and answer or error message."""
    took = f" {units.seconds(event.latency_s)}" if event.latency_s is not None else ""
    job = " · ".join(filter(None, (event.image, truncate(event.prompt, 40))))
    ok = event.outcome == Outcome.OK
    reply = truncate(
        (event.text if ok else event.message) or "", ANSWER_LENGTH if ok else FAILURE_LENGTH
    )
    again = " (will be retried)" if event.will_retry else ""
    return f"{event.outcome.replace('_', ' ')}{took}{again} | {job} | {reply}"


def format_totals(event: stream.SweepFinished) -> str:
    """Return the jobs by outcome and the duration."""
    counts = {"ok": event.ok, "failed": event.failed, "unusable images": event.unusable_images}
    counts |= {"skipped": event.skipped, "waiting": event.waiting}
    parts = [f"{count} {name}" for name, count in counts.items() if count or name == "ok"]
    return f"{', '.join(parts)}, {units.seconds(event.elapsed_s)}"


def totals(outcomes: dict[str, dict[str, int]]) -> dict[str, int]:
    """Return the number of finished jobs per model."""
    return {model: sum(counts.values()) for model, counts in outcomes.items()}

"""Events as plain lines, one per thing worth a line, for logs and pipes.

No control characters and no state but counters. A terminal gets `runner.view.live` instead, which
keeps some of the same lines above its image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

from schemas import stream

from ..text import units
from ..text.sanitize import one_line, truncate
from . import findings

ANSWER = 60
HOUR_CAME = "the hour came: what is left waits in the queue"
FAILURE = 300


@dataclass(slots=True)
class SweepCounts:
    """A sweep's title, and its jobs by model: all, and those that have their outcome."""

    title: str
    totals: dict[str, int]
    done: dict[str, int]


@dataclass(slots=True)
class EventCounter:
    """What lines need to know of the sweeps under way."""

    sweeps: dict[str, SweepCounts] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    making: str = ""
    fetching: bool = False

    def take(self, event: stream.StreamEvent) -> None:
        """One event's effect."""
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
            case stream.RunFinished() if not event.tried_again:
                if (its := self.of(event)) is not None:
                    its.done[event.model] = its.done.get(event.model, 0) + 1
            case stream.SweepFinished():
                self.ended.add(event.sweep)
            case stream.FetchStarted():
                self.fetching = True

    def of(self, event: stream.SweepScopedEvent) -> SweepCounts | None:
        """The counts of an event's sweep."""
        uid = event.sweep if event.sweep is not None else next(reversed(self.sweeps), "")
        return self.sweeps.get(uid)

    def place(self, event: stream.RunFinished) -> str:
        """`3/12`: how many jobs of its model are done."""
        counted = self.of(event)
        if counted is None:
            return "?"
        return f"{counted.done.get(event.model, 0)}/{counted.totals.get(event.model, '?')}"

    def label(self, event: stream.SweepScopedEvent, model: str) -> str:
        """The model, with its sweep where several are under way."""
        counted = self.of(event)
        several = len(self.sweeps.keys() - self.ended) > 1
        return f"{counted.title}: {model}" if several and counted else model


class LineLogger:
    """Writes a line for each event that matters."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.counter = EventCounter()

    def __call__(self, event: stream.StreamEvent) -> None:
        """One event."""
        self.counter.take(event)
        if line := format_event(event, self.counter):
            self.out.write(one_line(line) + "\n")
            self.out.flush()


def format_event(event: stream.StreamEvent, counter: EventCounter) -> str | None:
    """An event in words, or None where it is not worth a line."""
    match event:
        case stream.ImagePrepared():
            if event.message is not None:
                return f"image {event.path}: {event.message}"
            return f"images prepared: {event.total}" if event.done == event.total else None
        case stream.PreflightFinding():
            return findings.line(event)
        case stream.EnvironmentProgress():
            return environment(event, counter)
        case stream.ModelFetched():
            return fetched(event)
        case stream.SweepStarted():
            return started(event)
        case stream.Recovered():
            return recovered(event)
        case stream.Interrupting():
            return interrupting(event)
        case stream.SweepFinished():
            counted = counter.sweeps.get(event.sweep)
            name = counted.title if counted else event.sweep
            return f"{name} {event.state}: {format_totals(event)}"
        case stream.JobsCancelled():
            return f"{event.model}: {units.pluralize(event.jobs, 'job')} cancelled"
        case stream.DeadlineReached():
            return HOUR_CAME
        case stream.WatchIdle() | stream.SleepInhibited() | stream.NotifyFailed():
            return event.message
        case stream.SweepScopedEvent():
            line = format_sweep_event(event, counter)
            return line and f"{counter.label(event, getattr(event, 'model', ''))}: {line}"
    return None


def format_sweep_event(event: stream.SweepScopedEvent, counter: EventCounter) -> str | None:
    """What happened to a model, in words."""
    match event:
        case stream.WorkerStarted():
            return "fetching" if counter.fetching else f"loading (worker {event.worker})"
        case stream.WorkerLoaded():
            return loaded(event)
        case stream.RunFinished():
            return f"{counter.place(event)} {finished(event)}"
        case stream.WorkerKilled():
            return f"worker {event.worker} killed: {event.message}"
        case stream.FallingBack():
            return f"{event.jobs} jobs go on with {event.to}"
        case stream.Quarantined():
            return event.message
    return None


def started(event: stream.SweepStarted) -> str:
    """A sweep that begins, or is joined."""
    named = f"{event.name} ({event.sweep})" if event.name else event.sweep
    done = sum(totals(event.outcomes_by_model).values())
    already = f", done already {done}" if done else ""
    return f"sweep {named}: models {len(event.models)}, jobs {event.jobs}{already}"


def environment(event: stream.EnvironmentProgress, counter: EventCounter) -> str | None:
    """That one is being made, once; and how it ended."""
    first, counter.making = counter.making != event.model, event.model
    if event.state == "making" and not first and "could not" not in event.message:
        return None
    said = "making its environment" if event.state == "making" and first else event.message
    took = f" in {units.seconds(event.elapsed_s)}" if event.state == "ready" else ""
    return f"{event.model}: {said}{took}"


def fetched(event: stream.ModelFetched) -> str:
    """A model that is there, or why it is not."""
    if event.message is not None:
        hint = f" ({event.hint})" if event.hint else ""
        return f"{event.model}: {event.message}{hint}"
    size = units.size(event.weights_bytes) if event.weights_bytes is not None else "no"
    took = f", in {units.seconds(event.download_s)}" if event.download_s is not None else ""
    return f"{event.model}: there, {size} of weights{took}"


def loaded(event: stream.WorkerLoaded) -> str:
    """A model that can answer."""
    how = f"{event.engine}, {event.device}, {event.dtype}"
    fetch = f", after {units.seconds(event.download_s)} of download" if event.download_s else ""
    return f"loaded in {units.seconds(event.load_s)}{fetch} ({how})"


def finished(event: stream.RunFinished) -> str:
    """A run's outcome, time, question and answer."""
    took = f" {units.seconds(event.latency_s)}" if event.latency_s is not None else ""
    asked = " · ".join(filter(None, (event.image, truncate(event.prompt, 40))))
    ok = event.outcome == "ok"
    said = truncate((event.text if ok else event.message) or "", ANSWER if ok else FAILURE)
    again = " (is tried again)" if event.tried_again else ""
    return f"{event.outcome.replace('_', ' ')}{took}{again} | {asked} | {said}"


def recovered(event: stream.Recovered) -> str:
    """What a dead supervisor had left."""
    return (
        f"an earlier sweep was cut off: {event.processes} processes of it killed,"
        f" {event.runs} runs marked interrupted"
    )


def interrupting(event: stream.Interrupting) -> str:
    """What a signal leads to, and what to do if that is not enough."""
    if event.at_once:
        return f"{event.signal}: stopping at once"
    return "finishing the run in hand; Ctrl-C again to stop at once"


def format_totals(event: stream.SweepFinished) -> str:
    """The end in figures."""
    counts = {"ok": event.ok, "failed": event.failed, "skipped": event.skipped}
    counts["waiting"] = event.waiting
    told = [f"{count} {what}" for what, count in counts.items() if count or what == "ok"]
    return f"{', '.join(told)}, {units.seconds(event.elapsed_s)}"


def totals(outcomes: dict[str, dict[str, int]]) -> dict[str, int]:
    """Jobs done by model, of jobs by model and outcome."""
    return {model: sum(counts.values()) for model, counts in outcomes.items()}

"""A sweep's progress as plain lines, one per thing worth a line, for logs and pipes.

No control characters and no state but counters. A terminal gets `runner.view.live` instead.
"""

from __future__ import annotations

from collections import Counter
from typing import TextIO

from schemas import stream

from ..plain import one_line, shorten
from . import units

ANSWER = 60
HOUR_CAME = "the hour came: what is left waits in the queue"
FAILURE = 300


class PlainLines:
    """Writes a line for each event that matters."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.totals: dict[str, int] = {}
        self.done: Counter[str] = Counter()
        self.pictures_said = False
        self.making = ""

    def __call__(self, event: stream.StreamEvent) -> None:
        """One event."""
        if isinstance(event, stream.SweepStarted):
            self.totals = event.jobs_by_model
        elif isinstance(event, stream.RunFinished) and not event.tried_again:
            self.done[event.model] += 1
        line = self.line(event)
        if line:
            self.out.write(one_line(line) + "\n")
            self.out.flush()

    def line(self, event: stream.StreamEvent) -> str | None:
        """An event in words, or None where it is not worth a line."""
        match event:
            case stream.EnvironmentProgress():
                return self.environment(event)
            case stream.ImagePrepared():
                if event.message is not None:
                    return f"picture {event.path}: {event.message}"
                return f"pictures prepared: {event.total}" if event.done == event.total else None
            case stream.SweepStarted():
                return f"sweep {event.sweep}: models {len(event.models)}, jobs {event.jobs}"
            case stream.WorkerStarted():
                return f"{event.model}: loading (worker {event.worker})"
            case stream.WorkerLoaded():
                return loaded(event)
            case stream.RunFinished():
                place = f"{self.done[event.model]}/{self.totals.get(event.model, '?')}"
                return f"{event.model}: {place} {finished(event)}"
            case stream.WorkerKilled():
                return f"{event.model}: worker {event.worker} killed: {event.message}"
            case stream.Recovered():
                return recovered(event)
            case stream.FallingBack():
                return f"{event.model}: {event.jobs} jobs go on with {event.to}"
            case stream.Interrupting():
                return interrupting(event)
            case stream.Quarantined():
                return f"{event.model}: {event.message}"
            case stream.HourCame():
                return HOUR_CAME
            case stream.SweepFinished():
                return ended(event)
        return None

    def environment(self, event: stream.EnvironmentProgress) -> str | None:
        """That one is being made, once; and how it ended."""
        first, self.making = self.making != event.model, event.model
        if event.state == "making" and not first and "could not" not in event.message:
            return None
        said = "making its environment" if event.state == "making" and first else event.message
        took = f" in {units.seconds(event.elapsed_s)}" if event.state == "ready" else ""
        return f"{event.model}: {said}{took}"


def loaded(event: stream.WorkerLoaded) -> str:
    """A model that can answer."""
    how = f"{event.engine}, {event.device}, {event.dtype}"
    fetch = f", after {units.seconds(event.download_s)} of download" if event.download_s else ""
    return f"{event.model}: loaded in {units.seconds(event.load_s)}{fetch} ({how})"


def finished(event: stream.RunFinished) -> str:
    """A run's outcome, time, question and answer."""
    took = f" {units.seconds(event.latency_s)}" if event.latency_s is not None else ""
    asked = " · ".join(filter(None, (event.image, shorten(event.prompt, 40))))
    ok = event.outcome == "ok"
    said = shorten((event.text if ok else event.message) or "", ANSWER if ok else FAILURE)
    return f"{event.outcome.replace('_', ' ')}{took} | {asked} | {said}"


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


def ended(event: stream.SweepFinished) -> str:
    """The end in figures."""
    counts = {"ok": event.ok, "failed": event.failed, "skipped": event.skipped}
    counts["waiting"] = event.waiting
    told = [f"{count} {what}" for what, count in counts.items() if count or what == "ok"]
    return f"{event.state}: {', '.join(told)}, {units.seconds(event.elapsed_s)}"

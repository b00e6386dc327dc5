"""Sends notifications about sweeps: at the end, on the first failure, on quarantine.

A consumer of stream events. A separate process (`send`) sends each message, so that a slow
receiver does not delay a sweep. Addresses are secrets: they go through a pipe, never into
an argument, an environment, a log, an event or the database.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from schemas import stream
from schemas.states import Outcome, SweepState
from schemas.stream import EventSink

from ..errors import VlmsweepError
from .send_process import SendProcess, SendRequest, find_unknown_urls


class NotifyError(VlmsweepError):
    """Requested messages cannot be sent."""


class Notifier:
    """Sends messages about the sweeps whose events it is given."""

    def __init__(
        self, emit: EventSink, database: Path, urls: Sequence[str], command: str | None
    ) -> None:
        """Checks that the addresses can be used. Raises NotifyError when not."""
        self.emit, self.database = emit, str(database)
        self.urls, self.command = list(urls), command
        self.names: dict[str, str] = {}
        self.latest = ""
        self.failed: set[str] = set()
        self.guarded_processes: list[SendProcess] = []
        if urls:
            self.check()

    def check(self) -> None:
        """Whether apprise is there and knows every address."""
        if importlib.util.find_spec("apprise") is None:
            raise NotifyError(
                "--notify needs the package apprise, which is not installed",
                hint="pip install 'vlmsweep[notify]', or use --notify-command",
            )
        if wrong := find_unknown_urls(self.urls):
            raise NotifyError(
                f"no address that apprise knows: {', '.join(wrong)}",
                hint="https://appriseit.com lists them; they look like ntfy://topic",
            )

    def __call__(self, event: stream.StreamEvent) -> None:
        """One event. Never raises, and never waits."""
        self.collect_finished()
        match event:
            case stream.SweepStarted():
                self.latest, self.names[event.sweep] = event.sweep, event.name or event.sweep
                self.failed.discard(event.sweep)
            case stream.RunFinished():
                self.run_finished(event)
            case stream.Quarantined():
                where = self.of(event)
                title = f"{event.model} was given up in {self.name(where)}"
                self.send("quarantined", where, title, event.message, model=event.model)
            case stream.SweepFinished():
                self.sweep_finished(event)

    def run_finished(self, event: stream.RunFinished) -> None:
        """The first failure of a sweep is worth a message."""
        where = self.of(event)
        if event.outcome in (Outcome.OK, Outcome.SKIPPED, Outcome.INTERRUPTED) or event.will_retry:
            return
        if where in self.failed:
            return
        self.failed.add(where)
        outcome = event.outcome.replace("_", " ")
        asked = " · ".join(filter(None, (event.image, event.prompt)))
        why = "\n".join(filter(None, (asked, event.message, event.hint)))
        title = f"first failure in {self.name(where)}: {event.model}, {outcome}"
        self.send("failed", where, title, why, model=event.model, outcome=event.outcome)

    def sweep_finished(self, event: stream.SweepFinished) -> None:
        """A sweep has ended, or stops for now."""
        counts = {"ok": event.ok, "failed": event.failed, "unusable_images": event.unusable_images}
        counts |= {"skipped": event.skipped, "waiting": event.waiting}
        counted = ", ".join(
            f"{n} {what.replace('_', ' ')}" for what, n in counts.items() if n or what == "ok"
        )
        title = f"{self.name(event.sweep)} {STATES.get(event.state, event.state)}: {counted}"
        facts = {"state": event.state, "elapsed_s": event.elapsed_s, **counts}
        self.send("finished", event.sweep, title, "", **facts)

    def of(self, event: stream.SweepScopedEvent) -> str:
        """The uid of an event's sweep."""
        return event.sweep or self.latest

    def name(self, uid: str) -> str:
        """A sweep's name, or its uid."""
        return self.names.get(uid, uid)

    def send(self, kind: str, sweep: str, title: str, body: str, **facts: object) -> None:
        """Has a message sent, on its way at once."""
        facts = {"event": kind, "sweep": sweep, "name": self.name(sweep), **facts}
        self.guarded_processes.append(
            SendProcess(SendRequest(self.urls, self.command, self.database, title, body, facts))
        )

    def collect_finished(self, wait: bool = False) -> None:
        """Collects finished messages and reports those that failed."""
        left = []
        for guarded_process in self.guarded_processes:
            failures = guarded_process.poll(wait)
            if failures is None:
                left.append(guarded_process)
                continue
            for failure in failures:
                self.emit(stream.NotifyFailed(message=f"could not tell: {failure}"))
        self.guarded_processes = left

    def close(self) -> None:
        """Waits for the messages that are on their way, a minute at most."""
        try:
            self.collect_finished(wait=True)
        finally:
            for guarded_process in self.guarded_processes:  # the wait was interrupted
                guarded_process.kill()


STATES: dict[str, str] = {
    SweepState.DONE: "is done",
    SweepState.INTERRUPTED: "was interrupted",
    SweepState.QUEUED: "stopped for now",
}

"""Test harness for the queue: queues and runs sweeps of scripted models with a manual clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from runner.control.dispatch import execute
from runner.control.protocol import Request
from runner.control.server import ControlServer
from runner.database.store import Store
from runner.process.launcher import Launcher
from runner.supervisor.resources import SupervisorLimits
from runner.supervisor.supervisor import Supervisor
from schemas import stream

PATIENT = {"load_s": 600, "first_token_s": 600, "run_s": 600, "silence_s": 600}
TERMS = ("priority", "not_before", "after_sweep_id", "paused", "label")


class Clock:
    """The time of day, moved by hand; with a `pace`, by itself too, a little at each look."""

    EVENING: ClassVar = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)

    def __init__(self) -> None:
        self.moment = Clock.EVENING
        self.pace = timedelta(0)

    def __call__(self) -> datetime:
        self.moment += self.pace
        return self.moment

    def forward(self, **by: float) -> None:
        self.moment += timedelta(**by)


class Night:
    """Queues sweeps and works them; `react` is called with each event, after it is noted."""

    def __init__(self, store: Store, queued: Callable[..., int], launcher: Launcher) -> None:
        self.store, self.queued, self.launcher = store, queued, launcher
        self.clock = Clock()
        self.emitted: list[stream.StreamEvent] = []

    def add(self, models: list[str], prompts: list[str], **more: Any) -> int:
        terms = {key: more.pop(key) for key in list(more) if key in TERMS}
        sweep = self.queued(models, prompts, limits=PATIENT | more.pop("limits", {}), **more)
        self.store.update("sweeps", sweep, {"in_queue": 1, **terms})
        return sweep

    def work(
        self,
        react: Callable[[Any], None] = lambda event: None,
        alone: int | None = None,
        **terms: Any,
    ) -> bool:
        """Runs the queue, or only the sweep `alone`."""
        self.emitted = []

        def emit(event: stream.StreamEvent) -> None:
            self.emitted.append(event)
            react(event)

        with ControlServer(self.store) as listener:
            self.supervisor = Supervisor(
                self.store, emit, self.launcher, SupervisorLimits(**terms), listener, self.clock
            )
            if alone is not None:
                return self.supervisor.run_sweep(alone) == "done"
            return self.supervisor.run_queue()

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        reply, effect = execute(self.store, Request(action, arguments))
        self.supervisor.on_queue_change(effect)
        return reply

    def runs(self) -> list[tuple[str, str, str | None]]:
        rows = self.store.db.query(
            "SELECT ifnull(sweeps.name, '') AS sweep, prompts.text, outcome FROM runs"
            " JOIN jobs ON jobs.id = job_id JOIN sweeps ON sweeps.id = sweep_id"
            " JOIN prompts ON prompts.id = prompt_id ORDER BY runs.id"
        )
        return [(row["sweep"], row["text"], row["outcome"]) for row in rows]

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.store.db.query("SELECT * FROM sweeps")}


def of(emitted: list[Any], kind: type) -> list[Any]:
    return [event for event in emitted if isinstance(event, kind)]

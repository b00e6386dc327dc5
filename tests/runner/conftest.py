"""Fixtures of the runner's tests: a small real sweep on scripted workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.database import sweep_writer
from runner.database.store import Store
from runner.planning import expand, sweepfile
from runner.supervisor.supervisor import Supervisor
from runner.system import environment
from schemas import stream
from tests.helpers.queue_harness import Night
from tests.helpers.scripted_sweep import FakeLauncher, Outcome, Sweeper, image


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "history.db")
    yield store
    store.close()


@pytest.fixture
def queued(tmp_path: Path, store: Store) -> Callable[..., int]:
    """Stores a sweep of fake models (by folder name) and prompts; returns its number."""

    def add(
        models: list[str], prompts: list[str], tried: list[Any] | None = None, **more: Any
    ) -> int:
        for name in models:
            (tmp_path / name).mkdir(exist_ok=True)
        data: dict[str, Any] = {"models": tried or [f"./{name}" for name in models]}
        images = "each" if "images" in more else "none"
        data["prompts"] = [{"text": text, "images": images} for text in prompts]
        plan = expand.expand_sweep(sweepfile.validate(data | more, "test"), tmp_path, "test")
        prepared = [image(path) for path in plan.images]
        return sweep_writer.add_sweep(store, plan, prepared, environment.supervisor_environment())

    return add


@pytest.fixture
def sweep(store: Store, queued: Callable[..., int]) -> Sweeper:
    """Runs such a sweep to its end."""

    def run(models: list[str], prompts: list[str], **more: Any) -> Outcome:
        emitted: list[stream.StreamEvent] = []
        number = queued(models, prompts, **more)
        state = Supervisor(store, emitted.append, FakeLauncher()).run_sweep(number)
        rows = list(store.db.query("SELECT * FROM results WHERE sweep_id = ?", [number]))
        workers = list(store.db.query("SELECT * FROM workers WHERE sweep_id = ?", [number]))
        return Outcome(state, rows, workers, emitted, store)

    return run


@pytest.fixture
def night(store: Store, queued: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> Night:
    """A queue harness on scripted workers."""
    monkeypatch.setattr("runner.supervisor.supervisor.POLL_INTERVAL_S", 0.02)
    return Night(store, queued, FakeLauncher())

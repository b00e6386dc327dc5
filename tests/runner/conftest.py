"""What the runner's tests share: a small sweep on scripted workers, run for real."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.database import sweep_writer
from runner.database.store import Store
from runner.planning import expand, sweepfile
from runner.process.launcher import ShimHandle, ShimLauncher, WorkerSpec
from runner.supervisor.supervisor import Supervisor
from runner.system import environment
from schemas import stream
from schemas.image import PreparedImage

from .nights import Night

FAKE = Path(__file__).with_name("fake_worker.py")


class FakeLauncher(ShimLauncher):
    """Real shims, real processes, scripted workers."""

    def start(self, spec: WorkerSpec) -> ShimHandle:
        return super().start(dataclasses.replace(spec, argv=(sys.executable, str(FAKE))))


@dataclasses.dataclass
class Outcome:
    """A sweep that ended: its state, its rows and all that was told."""

    state: str
    rows: list[dict[str, Any]]
    workers: list[dict[str, Any]]
    told: list[stream.StreamEvent]
    store: Store

    def by_prompt(self) -> dict[str, dict[str, Any]]:
        return {row["prompt"]: row for row in self.rows}


def image(path: Path) -> PreparedImage:
    """An image as if it had been prepared; one named broken could not be."""
    if "broken" in path.name:
        return PreparedImage(path=path, error_class="bad_image", message="is broken")
    return PreparedImage(path=path, prepared_path=path, prepared_sha256=path.name)


Sweeper = Callable[..., Outcome]


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
        plan = expand.expand(sweepfile.validate(data | more, "test"), tmp_path, "test")
        prepared = [image(path) for path in plan.images]
        return sweep_writer.add_sweep(store, plan, prepared, environment.supervisor_environment())

    return add


@pytest.fixture
def sweep(store: Store, queued: Callable[..., int]) -> Sweeper:
    """Runs such a sweep to its end."""

    def run(models: list[str], prompts: list[str], **more: Any) -> Outcome:
        told: list[stream.StreamEvent] = []
        number = queued(models, prompts, **more)
        state = Supervisor(store, told.append, FakeLauncher()).run_sweep(number)
        rows = list(store.db.query("SELECT * FROM results WHERE sweep_id = ?", [number]))
        workers = list(store.db.query("SELECT * FROM workers WHERE sweep_id = ?", [number]))
        return Outcome(state, rows, workers, told, store)

    return run


@pytest.fixture
def night(store: Store, queued: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> Night:
    """Nights on scripted workers."""
    monkeypatch.setattr("runner.supervisor.supervisor.POLL_INTERVAL_S", 0.02)
    return Night(store, queued, FakeLauncher())

"""Several workers at once: signals, worker exits, budgets, and a supervisor that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from selectors import DefaultSelector
from typing import Any

import psutil
import pytest

from runner.database import recovery
from runner.database.estimates import Estimate
from runner.database.stale_processes import marked_processes, read_marker
from runner.database.store import Store
from runner.supervisor.queue import Queue
from runner.supervisor.resources import SupervisorLimits
from runner.supervisor.worker_pool import WorkerPool, weights_on_disk
from runner.system.timestamps import utc_now
from schemas import stream
from tests.helpers.paths import ROOT
from tests.helpers.queue_harness import Night, of
from tests.helpers.scripted_sweep import FakeLauncher
from tests.helpers.waiting import WAIT_S

MODELS = ["good", "better", "best"]
WORK = """
import sys
from pathlib import Path
from runner import api
from runner.supervisor.resources import SupervisorLimits
from tests.helpers.scripted_sweep import FakeLauncher
api.work_queue(Path(sys.argv[1]), lambda event: None, SupervisorLimits(workers=3, stay=True),
FakeLauncher())
"""


def at_once(emitted: list[Any]) -> int:
    """The most workers that were there at one time."""
    there = most = 0
    for event in emitted:
        there += isinstance(event, stream.WorkerStarted)
        there -= isinstance(event, stream.WorkerEnded)
        most = max(most, there)
    return most


def outcomes(night: Night) -> list[str | None]:
    return sorted(str(outcome) for _, _, outcome in night.runs())


def test_ctrl_c_lets_every_current_run_finish(night: Night, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    night.add(MODELS, [f"until {gate}", "b"], name="x")

    def react(event: Any) -> None:
        if len(of(night.emitted, stream.RunStarted)) == 3 and isinstance(event, stream.RunStarted):
            os.kill(os.getpid(), signal.SIGINT)
        if isinstance(event, stream.Interrupting):
            gate.touch()

    assert not night.work(react, workers=3)
    assert outcomes(night) == ["ok"] * 3
    assert night.states() == {"x": "queued"}


def test_second_ctrl_c_kills_all_workers(night: Night, store: Store, tmp_path: Path) -> None:
    night.add(MODELS, [f"until {tmp_path / 'never'}", "b"], name="x")

    def react(event: Any) -> None:
        if len(of(night.emitted, stream.RunStarted)) == 3 and isinstance(event, stream.RunStarted):
            os.kill(os.getpid(), signal.SIGINT)
        if isinstance(event, stream.Interrupting) and not event.at_once:
            os.kill(os.getpid(), signal.SIGINT)

    assert not night.work(react, workers=3)
    assert outcomes(night) == ["interrupted"] * 3
    kills = store.connection.execute("SELECT kill_s, survivors FROM workers").fetchall()
    assert len(kills) == 3
    assert all(kill_s < 5 and not survivors for kill_s, survivors in kills)


def test_quarantined_model_does_not_stop_another(night: Night, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    night.add(["good"], [f"until {gate}", "b"], name="steady")
    night.add(["better"], ["abort", "exit 7", "segfault", "c", "d"], name="deadly")

    def react(event: Any) -> None:
        if isinstance(event, stream.SweepFinished):
            gate.touch()

    night.work(react, workers=2)
    (given_up,) = of(night.emitted, stream.Quarantined)
    assert (given_up.model, given_up.jobs) == ("better", 2)
    assert outcomes(night) == ["crashed"] * 3 + ["ok"] * 2 + ["skipped"] * 2
    first = of(night.emitted, stream.SweepFinished)[0]
    assert (first.failed, first.skipped) == (3, 2)


@pytest.mark.parametrize(("budget", "together"), [(None, 3), (10**15, 1)])
def test_model_without_history_runs_alone_within_a_budget(
    night: Night, budget: int | None, together: int
) -> None:
    night.add(MODELS, ["slowly"], name="x")
    night.work(workers=3, memory_bytes=budget)
    assert outcomes(night) == ["ok"] * 3
    assert (at_once(night.emitted) > 1) == (together > 1)


@pytest.mark.slow
def test_killed_supervisor_leaves_no_worker_of_a_pool(
    store: Store, queued: Callable[..., int], tmp_path: Path
) -> None:
    queued(MODELS, ["family crew"], name="x")
    store.connection.execute("UPDATE sweeps SET in_queue = 1")
    marker = read_marker(store.connection, store.path)
    store.close()
    argv = [sys.executable, "-c", WORK, str(store.path)]
    supervisor = subprocess.Popen(argv, cwd=ROOT)

    def marked() -> list[psutil.Process]:
        return marked_processes(marker)

    def families() -> int:
        """Counts running sleepers with the marker: two per worker."""
        found = 0
        for process in marked():
            with suppress(psutil.Error):
                found += process.cmdline()[-1:] == ["crew"]
        return found

    until = time.monotonic() + WAIT_S
    while (families() < 3 * 2 or len(marked()) < 3 * 4) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(marked()) >= 3 * 4
    supervisor.kill()
    supervisor.wait()
    while marked() and time.monotonic() < until:
        time.sleep(0.02)
    assert marked() == []
    again = Store(store.path)
    found = recovery.recover(again)
    assert (found.runs, found.jobs) == (3, 3)
    assert again.connection.execute("SELECT DISTINCT state FROM jobs").fetchall() == [("queued",)]
    again.close()


def test_models_without_history_share_memory_by_weight_size(
    store: Store, queued: Callable[..., int], tmp_path: Path
) -> None:
    queued(["known", "empty"], ["a"])
    (tmp_path / "known" / "model.safetensors").write_bytes(b"x" * 1000)
    known, empty = Queue(store.connection, 1).ready(utc_now())
    assert weights_on_disk(known.load) == 1000
    assert weights_on_disk(empty.load) is None
    pool = WorkerPool(
        SupervisorLimits(workers=3, memory_bytes=10**11), FakeLauncher(), DefaultSelector()
    )
    assert pool.allocate(Estimate(), known) is not None
    assert pool.allocate(Estimate(), empty) is None
    assert pool.allocate(Estimate(), known) is not None

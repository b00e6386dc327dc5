"""Queue edge cases: held, broken, cancelled, overloaded or deleted."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.database import recovery
from runner.database.store import Store
from runner.errors import DatabaseError
from runner.process.launcher import ShimHandle, WorkerSpec
from runner.supervisor.supervisor import Supervisor
from runner.supervisor.worker_controller import WorkerController
from runner.supervisor.worker_pool import WorkerPool
from runner.system.timestamps import format_timestamp
from schemas import stream
from tests.helpers.queue_harness import Night, of
from tests.helpers.scripted_sweep import FakeLauncher
from tests.helpers.waiting import WAIT_S


def jobs(store: Store) -> list[tuple[str, str | None, str | None, int]]:
    """State, latest outcome and error class, and how many runs, of every job."""
    return store.connection.execute(
        "SELECT state, outcome, error_class, (SELECT count(*) FROM runs WHERE job_id = jobs.id)"
        " FROM jobs LEFT JOIN runs ON runs.id = latest_run_id ORDER BY jobs.id"
    ).fetchall()


def stopped_after(seconds: float) -> threading.Timer:
    """Stops a test that would wait for ever."""
    timer = threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGTERM])
    timer.daemon = True
    timer.start()
    return timer


def test_sweep_with_only_broken_images_finishes(night: Night, tmp_path: Path) -> None:
    (tmp_path / "broken.png").touch()
    night.add(["good", "better"], ["a"], name="x", images=["broken.png"])
    assert night.work()
    assert night.states() == {"x": "done"}
    assert of(night.emitted, stream.SweepFinished)[-1].state == "done"
    assert of(night.emitted, stream.WorkerStarted) == []


def test_retried_job_with_a_broken_image_loads_no_model(
    night: Night, store: Store, tmp_path: Path
) -> None:
    for name in ("broken.png", "fine.png"):
        (tmp_path / name).touch()
    sweep = night.add(["good"], ["slowly", "b"], name="x", images=["*.png"])

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted) and event.prompt == "slowly":
            assert night.ask("retry", level="sweep", id=sweep) == {"queued": 2}

    night.work(react)
    assert (
        sorted(jobs(store))
        == [("done", "error", "bad_image", 2)] * 2 + [("done", "ok", None, 1)] * 2
    )
    assert len(of(night.emitted, stream.WorkerStarted)) == 1
    (counted,) = of(night.emitted, stream.JobCountsChanged)
    assert counted.jobs_by_model == {"good": 4}


def test_job_cancelled_while_being_killed_for_a_limit_is_not_retried(
    night: Night, store: Store
) -> None:
    tried = [{"id": "./good", "fallback": ["./better"]}]
    night.add(["good", "better"], ["hang"], tried=tried, limits={"first_token_s": 0.5})

    def react(event: Any) -> None:
        if isinstance(event, stream.WorkerKilled):
            night.ask("cancel", level="job", id=1)

    night.work(react)
    assert jobs(store) == [("done", "timeout", None, 1)]


def test_job_cancelled_while_being_interrupted_is_not_queued_again(
    night: Night, store: Store
) -> None:
    night.add(["good"], ["hang"])

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted):
            os.kill(os.getpid(), signal.SIGTERM)
        if isinstance(event, stream.WorkerKilled):
            night.ask("cancel", level="job", id=1)

    night.work(react)
    assert jobs(store) == [("done", "skipped", "cancelled", 1)]


def test_foreground_sweep_ignores_start_time_and_predecessor(night: Night, store: Store) -> None:
    other = night.add(["good"], ["b"], name="other")
    later = format_timestamp(night.clock() + timedelta(days=1))
    sweep = night.add(["good"], ["a"], not_before=later, after_sweep_id=other, paused=1)
    store.connection.execute("UPDATE sweep_models SET paused = 1")
    store.connection.execute("UPDATE jobs SET paused = 1")
    recovery.requeue_sweep(store, sweep)
    timer = stopped_after(WAIT_S)
    assert night.work(alone=sweep)
    timer.cancel()
    assert len(night.runs()) == 1


@pytest.mark.serial
def test_paused_foreground_sweep_waits_without_using_cpu(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.supervisor.supervisor.POLL_INTERVAL_S", 20.0)
    sweep = night.add(["good"], ["a", "b"])
    used: list[float] = []

    def later() -> None:
        used.append(time.process_time())
        time.sleep(1.5)
        used.append(time.process_time())
        os.kill(os.getpid(), signal.SIGTERM)

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted):
            night.ask("pause", level="sweep", id=sweep)
        if isinstance(event, stream.WorkerEnded):
            threading.Thread(target=later).start()

    assert not night.work(react, alone=sweep)
    assert [outcome for _, _, outcome in night.runs()] == ["ok"]
    assert used[1] - used[0] < 0.3


@pytest.mark.serial
def test_retry_delay_ends_on_time_next_to_a_worker_without_busy_loop(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.supervisor.supervisor.POLL_INTERVAL_S", 20.0)
    monkeypatch.setattr("runner.supervisor.retry_policy.PAUSE_S", 0.5)
    gate = tmp_path / "gate"
    night.add(["no-network", "good"], [f"until {gate}"])
    turns = 0
    turn = Supervisor.loop_once

    def counted(self: Supervisor) -> None:
        nonlocal turns
        turns += 1
        turn(self)

    def react(event: Any) -> None:
        tries = [e for e in of(night.emitted, stream.WorkerStarted) if e.model == "no-network"]
        if len(tries) == 2:
            gate.touch()

    monkeypatch.setattr(Supervisor, "loop_once", counted)
    timer = stopped_after(WAIT_S)
    assert night.work(react, workers=2)
    timer.cancel()
    assert turns < 300


def test_cancelled_sweep_has_no_retry_delay(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.supervisor.retry_policy.PAUSE_S", 10 * WAIT_S)
    sweep = night.add(["no-network"], ["a"])

    def react(event: Any) -> None:
        if isinstance(event, stream.WorkerEnded):
            night.ask("cancel", level="sweep", id=sweep)

    timer = stopped_after(WAIT_S)
    assert night.work(react)  # and not after the pause
    timer.cancel()


def deaf_to_events(self: WorkerPool, controller: WorkerController) -> None:
    """Handles a worker's exit before its events, as can happen when both arrive together."""
    handle = controller.process.handle

    def hear() -> None:
        if not controller.process.read_reports():
            self.selector.unregister(handle.reports_fd)
            controller.stream_closed(handle.reports_fd)

    self.selector.register(handle.reports_fd, 1, hear)
    controller.heard.add(handle.reports_fd)


def test_dead_worker_gets_no_jobs_and_restarts_are_limited(
    night: Night, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkerPool, "listen", deaf_to_events)
    night.add(["leaves-when-loaded"], ["a", "b"], name="x")
    timer = stopped_after(WAIT_S)
    assert night.work()
    timer.cancel()
    assert [(outcome, error) for _, outcome, error, _ in jobs(store)] == [
        ("skipped", "quarantined")
    ] * 2
    assert len(of(night.emitted, stream.WorkerStarted)) == 3


class Crowded(FakeLauncher):
    """A system that has no room for a process, `times` times."""

    times = 1

    def start(self, spec: WorkerSpec) -> ShimHandle:
        if self.times:
            self.times -= 1
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return super().start(spec)


class CrowdedShim(Crowded):
    """The same, for the process that the shim creates: the shim starts, and then it cannot."""

    def start(self, spec: WorkerSpec) -> ShimHandle:
        if self.times:
            self.times -= 1
            spec = dataclasses.replace(spec, log=spec.log / "no folder" / "log")
        return FakeLauncher.start(self, spec)


@pytest.mark.parametrize("crowded", [Crowded, CrowdedShim])
@pytest.mark.parametrize(("times", "outcome"), [(1, "ok"), (9, "error")])
def test_failed_process_start_is_retried_and_does_not_end_the_sweep(
    night: Night,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    crowded: type[Crowded],
    times: int,
    outcome: str,
) -> None:
    monkeypatch.setattr("runner.supervisor.retry_policy.PAUSE_S", 0.05)
    night.launcher = crowded()
    night.launcher.times = times
    night.add(["good"], ["a"])
    assert night.work()
    assert [job[1] for job in jobs(store)] == [outcome]
    assert store.connection.execute("SELECT 1 FROM workers WHERE ended_at IS NULL").fetchall() == []
    failed = store.connection.execute(
        "SELECT DISTINCT error_class FROM workers WHERE message LIKE 'no worker could be started:%'"
    )
    assert failed.fetchall() == [("no_process",)]


def test_retry_during_quarantine_loads_the_model_again(
    night: Night, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.supervisor.fail_jobs.AT_ONCE", 1)
    night.add(["exit-in-load"], ["a", "b", "c"])

    def react(event: Any) -> None:
        if (
            isinstance(event, stream.RunFinished)
            and len(of(night.emitted, stream.RunFinished)) == 1
        ):
            assert night.ask("retry", level="job", id=event.job) == {"queued": 1}

    night.work(react)
    assert len(of(night.emitted, stream.WorkerStarted)) == 2
    assert sorted(count for *_, count in jobs(store)) == [1, 1, 2]


def test_immediate_stop_does_not_wait_for_a_quarantined_model(
    night: Night, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.supervisor.fail_jobs.AT_ONCE", 1)
    night.add(["exit-in-load"], [f"p{n}" for n in range(200)], name="x")

    def react(event: Any) -> None:
        if (
            isinstance(event, stream.RunFinished)
            and len(of(night.emitted, stream.RunFinished)) == 1
        ):
            os.kill(os.getpid(), signal.SIGTERM)

    assert not night.work(react)
    assert night.states() == {"x": "queued"}
    assert len(night.runs()) < 100
    night.work()
    assert len(night.runs()) == 200


def test_job_too_long_for_the_end_time_does_not_stop_other_jobs(night: Night) -> None:
    """The scripted model reports 0.45 s including its load."""
    night.add(["good"], ["known"], name="before")
    night.work()
    night.add(["good"], ["a"], name="long")
    soon = night.clock() + timedelta(seconds=0.1)
    night.add(["better"], ["b"], name="short", not_before=format_timestamp(soon))
    night.clock.pace = timedelta(milliseconds=1)
    night.work(until=night.clock() + timedelta(seconds=0.4))
    assert night.runs()[1:] == [("short", "b", "ok")] or night.runs()[1:] == [
        ("short", "b", "interrupted")
    ]
    assert night.states() == {
        "before": "done",
        "long": "queued",
        "short": "done" if night.runs()[-1][2] == "ok" else "queued",
    }


def test_model_of_two_sweeps_has_one_worker_at_a_time(night: Night) -> None:
    night.add(["good"], ["slowly", "a"], name="x")
    night.add(["good", "better"], ["b"], name="y", order="listed")
    night.work(workers=3)
    there: set[tuple[str, int]] = set()
    most = 0
    for event in night.emitted:
        if isinstance(event, stream.WorkerStarted) and event.model == "good":
            there.add((event.sweep or "", event.worker))
        if isinstance(event, stream.WorkerEnded):
            there.discard((event.sweep or "", event.worker))
        most = max(most, len(there))
    assert most == 1
    assert {outcome for _, _, outcome in night.runs()} == {"ok"}


def test_successful_load_resets_the_failure_count(night: Night, store: Store) -> None:
    night.add(["good"], ["a"])
    store.connection.execute("UPDATE sweep_models SET load_failures = 1")
    night.work()
    assert store.connection.execute("SELECT load_failures FROM sweep_models").fetchall() == [(0,)]


def test_deleted_database_stops_the_supervisor_with_a_message(
    night: Night, store: Store, tmp_path: Path
) -> None:
    night.add(["good"], ["slowly", "b"], name="x")

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted):
            store.path.rename(tmp_path / "elsewhere.db")

    timer = stopped_after(WAIT_S)
    with pytest.raises(DatabaseError, match="moved, deleted or replaced"):
        night.work(react, stay=True)
    timer.cancel()


def test_deleted_socket_is_recreated(night: Night) -> None:
    night.add(["good"], ["a"])
    back: list[bool] = []

    def watch(path: Path) -> None:
        path.unlink()
        until = time.monotonic() + WAIT_S
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.01)
        back.append(path.exists())
        os.kill(os.getpid(), signal.SIGTERM)

    def react(event: Any) -> None:
        if isinstance(event, stream.SweepFinished):
            (path,) = (p for p in night.store.path.parent.glob("*.sock"))
            threading.Thread(target=watch, args=[path]).start()

    night.work(react, stay=True)
    assert back == [True]


def test_queue_finishes_a_sweep_that_a_dead_supervisor_left_complete(
    night: Night, store: Store, queued: Callable[..., int]
) -> None:
    night.add(["good"], ["a"], name="x")
    night.work()
    store.connection.execute("UPDATE sweeps SET state = 'running', ended_at = NULL")
    queued(["good"], ["b"], name="never begun")
    recovery.recover(store)
    assert night.states() == {"x": "done", "never begun": "interrupted"}

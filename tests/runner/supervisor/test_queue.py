"""The supervisor's queue: several sweeps, start and end times, worker pool, retries."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.database.store import Store
from runner.system.timestamps import format_timestamp
from runner.view.progress import Progress
from schemas import stream
from tests.helpers.queue_harness import Clock, of

EVENING = Clock.EVENING


def test_sweeps_run_in_order_each_to_completion(night: Any) -> None:
    night.add(["good"], ["a"], name="x")
    night.add(["good"], ["b"], name="y", priority=1)
    assert night.work()
    assert night.runs() == [("y", "b", "ok"), ("x", "a", "ok")]
    assert night.states() == {"x": "done", "y": "done"}
    begun = [event.name for event in of(night.emitted, stream.SweepStarted)]
    assert begun == ["y", "x"]
    assert [event.state for event in of(night.emitted, stream.SweepFinished)] == ["done", "done"]


def test_sweep_starts_at_its_start_time(night: Any) -> None:
    night.add(
        ["good"], ["late"], name="late", not_before=format_timestamp(EVENING + timedelta(hours=1))
    )
    night.add(["good"], ["now"], name="now")

    def react(event: Any) -> None:
        if isinstance(event, stream.SweepFinished) and event.ok == 1:
            assert night.states().get("late") in ("queued", "running", "done")
            night.clock.forward(minutes=59)
            assert night.supervisor.queue.ready(format_timestamp(night.clock())) == []
            night.clock.forward(minutes=1, seconds=1)

    night.work(react)
    assert night.runs() == [("now", "now", "ok"), ("late", "late", "ok")]


def test_sweep_starts_after_its_predecessor_ends(night: Any, store: Store) -> None:
    first = night.add(["good"], ["slowly"], name="first")
    night.add(["good"], ["b"], name="second", after_sweep_id=first, priority=9)
    night.work(workers=2)
    assert night.runs() == [("first", "slowly", "ok"), ("second", "b", "ok")]
    ended = next(e for e in night.emitted if isinstance(e, stream.SweepFinished))
    begun = of(night.emitted, stream.SweepStarted)[1]
    assert night.emitted.index(ended) < night.emitted.index(begun)


def test_no_job_starts_that_would_end_after_the_end_time(night: Any, store: Store) -> None:
    """The scripted model reports 0.2 s per run and 0.25 s per load."""
    night.add(["good"], ["known"], name="before")
    night.work()
    night.add(["good"], ["a", "b", "c"], name="x")

    def react(event: Any) -> None:
        if isinstance(event, stream.RunFinished):
            night.clock.forward(seconds=0.4)

    assert night.work(react, until=EVENING + timedelta(seconds=0.75))
    assert night.runs()[1:] == [("x", "a", "ok"), ("x", "b", "ok")]
    assert night.states()["x"] == "queued"
    assert len(of(night.emitted, stream.DeadlineReached)) == 1
    assert of(night.emitted, stream.SweepFinished)[-1].waiting == 1


def test_running_job_is_stopped_at_the_end_time_and_queued_again(
    night: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    night.add(["good"], [f"until {gate}", "b"], name="x")

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted):
            night.clock.forward(hours=10)

    assert night.work(react, until=EVENING + timedelta(hours=9))
    assert night.runs() == [("x", f"until {gate}", "interrupted")]
    gate.touch()
    night.work()
    assert [outcome for _, _, outcome in night.runs()] == ["interrupted", "ok", "ok"]
    assert night.states() == {"x": "done"}


def test_killed_shim_does_not_affect_a_second_worker(
    night: Any, store: Store, tmp_path: Path
) -> None:
    gates = [tmp_path / "one", tmp_path / "two"]
    night.add(["good"], [f"until {gates[0]}"], name="x")
    night.add(["better"], [f"until {gates[1]}"], name="y")

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted) and len(of(night.emitted, stream.RunStarted)) == 2:
            (one, _) = night.supervisor.pool
            os.kill(one.process.handle.guardian, signal.SIGKILL)
        if isinstance(event, stream.WorkerEnded):
            gates[1].touch()

    night.work(react, workers=2)
    assert sorted(night.runs()) == [
        ("x", f"until {gates[0]}", "crashed"),
        ("y", f"until {gates[1]}", "ok"),
    ]
    kinds = [type(event) for event in night.emitted]
    assert (
        kinds.index(stream.WorkerEnded)
        > [i for i, kind in enumerate(kinds) if kind is stream.WorkerStarted][1]
    )


def test_one_model_has_one_worker_at_a_time(night: Any) -> None:
    night.add(["good"], ["slowly", "a", "b"], name="x")
    night.work(workers=3)
    assert len(of(night.emitted, stream.WorkerStarted)) == 1


def test_cancelling_a_running_job_kills_it_and_continues(night: Any, tmp_path: Path) -> None:
    night.add(["good"], [f"until {tmp_path / 'never'}", "b"], name="x")

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted) and event.job == 1:
            night.ask("cancel", level="job", id=1)

    night.work(react)
    assert [outcome for _, _, outcome in night.runs()] == ["skipped", "ok"]
    (killed,) = of(night.emitted, stream.WorkerKilled)
    assert killed.killed_for == "cancelled"
    assert night.states() == {"x": "done"}


def test_cancelling_a_sweep_stops_its_load(night: Any) -> None:
    sweep = night.add(["hang-in-load"], ["a", "b"], name="x")
    night.add(["good"], ["c"], name="y")

    def react(event: Any) -> None:
        if isinstance(event, stream.WorkerStarted) and event.model == "hang-in-load":
            night.ask("cancel", level="sweep", id=sweep)

    night.work(react)
    assert night.runs() == [("x", "a", "skipped"), ("x", "b", "skipped"), ("y", "c", "ok")]
    (emitted,) = of(night.emitted, stream.JobsCancelled)
    assert (emitted.model, emitted.jobs) == ("hang-in-load", 2)


def test_pausing_a_sweep_lets_its_run_finish_and_others_continue(night: Any) -> None:
    sweep = night.add(["good"], ["a", "b"], name="x")
    night.add(["good"], ["c"], name="y")

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted) and event.prompt == "a":
            night.ask("pause", level="sweep", id=sweep)
        if isinstance(event, stream.RunFinished) and event.prompt == "c":
            night.ask("resume", level="sweep", id=sweep)

    night.work(react)
    assert night.runs() == [("x", "a", "ok"), ("y", "c", "ok"), ("x", "b", "ok")]


def test_load_timeout_is_retried_once_in_a_new_worker(night: Any, tmp_path: Path) -> None:
    night.add(["hang-in-load"], ["a"], name="x", limits={"load_s": 0.5})
    night.work()
    assert len(of(night.emitted, stream.WorkerStarted)) == 2
    assert night.runs() == [("x", "a", "timeout")]


@pytest.mark.parametrize("prompt", ["error", "segfault", "out of memory"])
def test_permanent_failure_is_not_retried(night: Any, prompt: str) -> None:
    night.add(["good"], [prompt], name="x")
    night.work()
    assert len(night.runs()) == 1


def test_busy_server_is_retried_once(night: Any) -> None:
    night.add(["good"], ["busy server"], name="x")
    night.work()
    assert [outcome for _, _, outcome in night.runs()] == ["error", "error"]
    finished = of(night.emitted, stream.RunFinished)
    assert [event.will_retry for event in finished] == [True, False]


def test_each_job_gets_a_new_worker_when_requested(night: Any, store: Store) -> None:
    model = {"id": "./good", "isolation": "job"}
    night.add(["good"], ["a", "b", "c"], name="x", tried=[model])
    night.work()
    workers = [row["worker_id"] for row in store.db.query("SELECT worker_id FROM runs")]
    assert len(set(workers)) == 3
    assert [outcome for _, _, outcome in night.runs()] == ["ok"] * 3


def test_ctrl_c_keeps_the_queue(night: Any) -> None:
    night.add(["good"], ["slowly", "b"], name="x")
    night.add(["good"], ["c"], name="y")

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted):
            os.kill(os.getpid(), signal.SIGINT)

    assert not night.work(react)
    assert night.runs() == [("x", "slowly", "ok")]
    assert night.states() == {"x": "queued", "y": "queued"}
    assert night.work()
    assert night.states() == {"x": "done", "y": "done"}


def test_supervisor_with_stay_runs_until_stopped(night: Any) -> None:
    night.add(["good"], ["a"], name="x")
    added: list[int] = []

    def react(event: Any) -> None:
        if isinstance(event, stream.SweepFinished) and not added:
            added.append(night.add(["good"], ["b"], name="y"))
        elif isinstance(event, stream.SweepFinished):
            os.kill(os.getpid(), signal.SIGTERM)

    assert not night.work(react, stay=True)
    assert [sweep for sweep, _, outcome in night.runs() if outcome == "ok"] == ["x", "y"]
    finished = of(night.emitted, stream.SweepFinished)
    assert [event.state for event in finished] == ["done", "done"]


def test_models_with_the_shortest_work_run_first(
    night: Any, store: Store, queued: Callable[..., int]
) -> None:
    night.add(["good"], ["a"], name="history")
    night.work()
    night.add(["new", "good"], ["b"], name="quick")
    night.work()
    started = [event.model for event in of(night.emitted, stream.WorkerStarted)]
    assert started == ["good", "new"]
    night.add(["other", "good"], ["c"], name="listed", order="listed")
    night.work()
    assert [event.model for event in of(night.emitted, stream.WorkerStarted)] == ["other", "good"]
    wanted = [{"id": "./good"}, {"id": "./other", "priority": 2}]
    night.add(["good", "other"], ["d"], name="wanted", tried=wanted)
    night.work()
    assert [event.model for event in of(night.emitted, stream.WorkerStarted)] == ["other", "good"]


def test_retry_during_a_sweep_updates_the_job_counts(night: Any) -> None:
    sweep = night.add(["good"], ["error", "slowly"], name="x")

    def react(event: Any) -> None:
        if isinstance(event, stream.RunStarted) and event.prompt == "slowly":
            night.ask("retry", level="sweep", id=sweep)

    night.work(react)
    counted = of(night.emitted, stream.JobCountsChanged)[0]
    assert (counted.jobs_by_model, counted.outcomes_by_model) == ({"good": 2}, {"good": {}})
    progress = Progress()
    for event in night.emitted:
        progress.take(event, 0)
    (shown,) = progress.sweeps.values()
    assert (shown.done, shown.total, len(night.runs())) == (2, 2, 3)
    assert {event.sweep for event in of(night.emitted, stream.RunFinished)} == {shown.uid}

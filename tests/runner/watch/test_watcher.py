"""Watching real supervisors in separate processes, through the database only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.database.liveness import has_supervisor
from runner.database.reader import Reader
from runner.database.store import Store
from runner.system.timestamps import utc_now
from runner.watch import queries
from runner.watch.watcher import Watcher
from schemas import stream
from tests.helpers.command_line import SCRIPTED, env, sweep_file
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S


class RecordingWatcher:
    """A watcher and its emitted events."""

    def __init__(self, database: Path, only: str | None = None) -> None:
        self.emitted: list[Any] = []
        self.returned: list[Any] = []
        self.watcher = Watcher(database, self.emitted.append, only)

    def until(self, kind: type, **facts: object) -> Any:
        """Polls until a new event of a kind with these fields is emitted; returns it."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            self.watcher.poll()
            for event in self.of(kind):
                known = asdict(event)
                is_new = not any(event is one for one in self.returned)
                if is_new and all(known[k] == v for k, v in facts.items()):
                    self.returned.append(event)
                    return event
            time.sleep(0.01)
        raise AssertionError(f"no {kind.__name__} {facts} in {self.emitted}")

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.emitted if isinstance(event, kind)]


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[Callable[..., RecordingWatcher]]:
    made: list[RecordingWatcher] = []

    def watch(only: str | None = None) -> RecordingWatcher:
        made.append(RecordingWatcher(tmp_path / "history.db", only))
        return made[-1]

    yield watch
    for one in made:
        one.watcher.close()


@contextmanager
def supervisor(folder: Path, prompts: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    """`vlmsweep run --json` on scripted workers, killed at the end."""
    for name in ("good", "better"):
        (folder / name).mkdir(exist_ok=True)
    command = [sys.executable, "-c", SCRIPTED, "run", sweep_file(folder, prompts, **more), "--json"]
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=env(VLMSWEEP_DB=str(folder / "history.db")),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


@pytest.mark.slow
def test_watcher_sees_the_events_of_the_supervisor(
    tmp_path: Path, watcher: Callable[..., RecordingWatcher]
) -> None:
    seen = watcher()
    seen.until(stream.WatchIdle, state="no_database")
    prompts = ["a", "slowly", "hang midway", "error"]
    with supervisor(tmp_path, prompts, name="tonight", limits={"silence_s": 1}) as child:
        seen.until(stream.SweepFinished)
        lines = [json.loads(line) for line in child.communicate()[0].splitlines()]
    emitted = {kind: [row for row in lines if row["event"] == kind] for kind in (
        "run_finished", "worker_killed", "worker_ended", "sweep_finished", "worker_loaded"
    )}  # fmt: skip
    finished = {event.run: event for event in seen.of(stream.RunFinished)}
    assert len(finished) == 8
    assert {row["sweep"] for rows in emitted.values() for row in rows} == {
        seen.of(stream.SweepStarted)[0].sweep
    }
    for row in emitted["run_finished"]:
        for key in row.keys() - {"event", "at", "sweep"}:
            # The database also has the values from before a run was stopped.
            assert row[key] in (None, getattr(finished[row["run"]], key)), key
    for kind, name in (
        (stream.WorkerKilled, "worker_killed"),
        (stream.WorkerEnded, "worker_ended"),
    ):
        keys = {"worker", "model", "killed_for"}
        assert [{k: getattr(e, k) for k in keys} for e in seen.of(kind)] == [
            {k: row[k] for k in keys} for row in emitted[name]
        ]
    assert "s (silence_s)" in seen.of(stream.WorkerKilled)[0].message
    assert len(seen.of(stream.WorkerLoaded)) == len(emitted["worker_loaded"])
    (over,) = seen.of(stream.SweepFinished)
    assert (over.ok, over.failed, over.waiting) == (4, 4, 0)
    assert over.elapsed_s == pytest.approx(emitted["sweep_finished"][0]["elapsed_s"], abs=0.5)
    for run, event in finished.items():
        text = "".join(e.text for e in seen.of(stream.RunText) if e.run == run)
        assert text.startswith(event.text or "")
    assert "partial words" in [e.text for e in seen.of(stream.RunText)]
    assert not seen.of(stream.JobCountsChanged)
    seen.until(stream.WatchIdle, state="nothing_running")


@pytest.mark.slow
def test_late_watcher_gets_finished_runs_and_detects_a_dead_supervisor(
    tmp_path: Path, watcher: Callable[..., RecordingWatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.watch.watcher.QUIET_S", 0.2)
    with supervisor(tmp_path, ["a", "hang"]) as child:
        first = watcher()
        first.until(stream.RunStarted, prompt="hang")
        late = watcher()
        begun = late.until(stream.SweepStarted)
        assert begun.outcomes_by_model["good"] == {"ok": 1}
        assert begun.jobs_by_model == {"good": 2, "better": 2}
        assert set(begun.seconds_per_run_by_model) == {"good"}
        running = late.until(stream.RunStarted)
        assert (running.prompt, running.worker, running.model) == ("hang", 1, "good")
        assert late.until(stream.WorkerLoaded).engine == "fake"
        assert late.until(stream.MemorySampled).rss_bytes > 0
        assert has_supervisor(tmp_path / "history.db")
        os.kill(child.pid, signal.SIGKILL)
        gone = first.until(stream.WatchIdle, state="supervisor_gone")
        assert "gone" in gone.message
        assert "vlmsweep resume" in gone.message
        assert not has_supervisor(tmp_path / "history.db")
        watcher().until(stream.WatchIdle, state="supervisor_gone")


def test_replaced_or_removed_database_is_detected(
    tmp_path: Path,
    watcher: Callable[..., RecordingWatcher],
    store: Store,
    queued: Callable[..., int],
) -> None:
    seen = watcher()
    seen.until(stream.WatchIdle, state="nothing_running")
    store.close()
    for file in tmp_path.glob("history.db*"):
        file.unlink()
    seen.until(stream.WatchIdle, state="no_database")
    (tmp_path / "history.db").write_text("no database at all, but long enough to be taken for one")
    assert "cannot read" in seen.until(stream.WatchIdle, state="no_database").message
    (tmp_path / "history.db").unlink()
    again = Store(tmp_path / "history.db")
    seen.until(stream.WatchIdle, state="nothing_running")
    again.close()


@pytest.fixture
def running(store: Store, queued: Callable[..., int]) -> Callable[..., tuple[int, int, list[int]]]:
    """A sweep that runs, as a supervisor would have it: its number, its worker and its jobs."""

    def begin(models: list[str], prompts: list[str], **more: Any) -> tuple[int, int, list[int]]:
        sweep = queued(models, prompts, **more)
        store.set_sweep_state(sweep, "running")
        variant = store.connection.execute(
            "SELECT id FROM sweep_models WHERE sweep_id = ?", [sweep]
        ).fetchone()[0]
        worker = store.start_worker(variant, store.path, store.next_worker_number(sweep))
        jobs = store.connection.execute("SELECT id FROM jobs WHERE sweep_id = ?", [sweep])
        return sweep, worker, [row[0] for row in jobs]

    return begin


def test_watcher_handles_concurrent_sweeps_and_retries(
    store: Store,
    running: Callable[..., tuple[int, int, list[int]]],
    watcher: Callable[..., RecordingWatcher],
) -> None:
    one, first, jobs = running(["a"], ["x", "y"], name="one")
    two, second, others = running(["a"], ["x"], name="two")
    runs = store.start_run(jobs[0], first), store.start_run(others[0], second)
    seen = watcher()
    seen.until(stream.RunStarted, run=runs[1])
    uids = {event.name: event.sweep for event in seen.of(stream.SweepStarted)}
    assert set(uids) == {"one", "two"}
    assert {e.sweep: e.run for e in seen.of(stream.RunStarted)} == {
        uids["one"]: runs[0],
        uids["two"]: runs[1],
    }
    store.finish_run(runs[0], {"outcome": "timeout", "message": "late"})
    assert not seen.until(stream.RunFinished, run=runs[0]).will_retry
    store.update("jobs", jobs[0], {"state": "queued"})
    counted = seen.until(stream.JobCountsChanged)
    assert (counted.sweep, counted.outcomes_by_model) == (uids["one"], {"a": {}})
    again = store.start_run(jobs[0], first)
    assert seen.until(stream.RunStarted, run=again).attempt == 2
    store.set_sweep_state(two, "done")
    assert seen.until(stream.SweepFinished).sweep == uids["two"]
    store.update("runs", again, {"raw_text": "still here"})
    assert seen.until(stream.RunText, text="still here").sweep == uids["one"]
    with store.db.atomic():  # pruned in the midst of it
        for table in ("memory_samples", "runs", "job_images", "jobs", "workers"):
            store.connection.execute("PRAGMA defer_foreign_keys = ON")
            store.connection.execute(f"DELETE FROM {table}")  # noqa: S608
        store.connection.execute("DELETE FROM sweep_models")
        store.connection.execute("DELETE FROM sweeps")
    seen.until(stream.WatchIdle, state="nothing_running")
    assert one


def test_sweep_that_ends_between_two_polls_is_seen(
    store: Store, queued: Callable[..., int], watcher: Callable[..., RecordingWatcher]
) -> None:
    sweep = queued(["a"], ["x"])
    seen = watcher()
    assert "1 in the queue" in seen.until(stream.WatchIdle).message
    store.set_sweep_state(sweep, "running")
    (job,) = store.connection.execute("SELECT id FROM jobs").fetchone()
    store.finish_run(store.start_run(job, None), {"outcome": "skipped"})
    store.set_sweep_state(sweep, "done")
    assert seen.until(stream.SweepFinished).skipped == 1


def test_more_runs_than_one_batch_are_all_read(
    store: Store,
    running: Callable[..., tuple[int, int, list[int]]],
    watcher: Callable[..., RecordingWatcher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep, worker, jobs = running(["a"], [f"p{n}" for n in range(23)])
    seen = watcher()
    seen.until(stream.SweepStarted)
    monkeypatch.setattr("runner.watch.queries.BATCH", 5)
    monkeypatch.setattr("runner.watch.watcher.BATCH", 5)
    with store.db.atomic():
        for job in jobs:
            run = store.insert(
                "runs",
                {"job_id": job, "attempt": 1, "worker_id": worker, "started_at": utc_now()},
            )
            store.update("runs", run, {"outcome": "ok", "raw_text": "t", "text": "t"})
            store.update("jobs", job, {"state": "done", "latest_run_id": run})
        store.set_sweep_state(sweep, "done")
    over = seen.until(stream.SweepFinished)
    assert (over.ok, over.waiting) == (23, 0)
    assert len(seen.of(stream.RunFinished)) == 23
    assert not seen.of(stream.JobCountsChanged)


def test_every_watcher_query_uses_an_index(store: Store) -> None:
    asked = [value for name, value in vars(queries).items() if name.isupper()]
    asked = [sql for sql in asked if isinstance(sql, str)]
    asked += [f"{queries.RUN} runs.id > ?", f"{queries.RUN} runs.id = ?"]
    asked += [f"{queries.WORKER} id = ?", f"{queries.WORKER} sweep_id = ? AND number > ?"]
    for sql in asked:
        if sql.strip().endswith("WHERE"):
            continue
        plan = store.connection.execute(
            f"EXPLAIN QUERY PLAN {sql}", ["0"] * sql.count("?")
        ).fetchall()
        scans = [row[3] for row in plan if row[3].startswith("SCAN")]
        assert not [scan for scan in scans if "INDEX" not in scan and "subquery" not in scan], sql


# The command.


def vlmsweep(*arguments: str, database: Path) -> Any:
    return CliRunner().invoke(cli, [*arguments, "--db", str(database)])


def test_watch_once_prints_the_status(
    store: Store, running: Callable[..., tuple[int, int, list[int]]]
) -> None:
    _, worker, jobs = running(["a", "b"], ["x", "y"], name="tonight")
    store.finish_run(store.start_run(jobs[0], worker), {"outcome": "ok"})
    store.update("runs", store.start_run(jobs[1], worker), {"raw_text": "words so far"})
    store.update("workers", worker, {"pid": 1})
    result = vlmsweep("watch", "--once", database=store.path)
    assert result.exit_code == 0, result.output
    assert "1/4 jobs" in result.output
    assert "words so far" in result.output
    lines = vlmsweep("watch", "--once", "--json", database=store.path).output.splitlines()
    assert json.loads(lines[0])["outcomes_by_model"] == {"a": {"ok": 1}, "b": {}}
    assert vlmsweep("watch", "nonsense", database=store.path).exit_code == 2


def test_watching_a_finished_sweep_exits(store: Store, queued: Callable[..., int]) -> None:
    sweep = queued(["a"], ["x"], name="over")
    store.set_sweep_state(sweep, "running")
    store.set_sweep_state(sweep, "done")
    result = vlmsweep("watch", "over", database=store.path)
    assert result.exit_code == 0, result.output
    assert "over done: 0 ok, 1 waiting" in result.output
    result = vlmsweep("watch", "--once", database=store.path)
    assert result.output == "No sweep is running.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_exits_with_status_zero(store: Store, number: int) -> None:
    command = [sys.executable, "-m", "runner", "watch", "--db", str(store.path)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env(), cwd=ROOT
    )
    assert child.stdout is not None
    assert "No sweep is running" in child.stdout.readline()
    child.send_signal(number)
    _, err = child.communicate(timeout=WAIT_S)
    assert (child.returncode, err) == (0, "")


def test_closed_output_pipe_ends_the_watch(store: Store) -> None:
    command = f"{sys.executable} -m runner watch --db {store.path} | head -n 0"
    done = subprocess.run(["sh", "-c", command], env=env(), cwd=ROOT, timeout=WAIT_S)
    assert done.returncode == 0


def test_watcher_imports_no_heavy_module(store: Store) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "runner", "watch", "--once", "--json"]
    done = subprocess.run(
        [*command, "--db", str(store.path)], env=env(), capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {name.split(".")[0] for name in imported} & {"sqlite_utils", "pydantic", "torch"}
    with Reader(store.path) as reader:
        assert reader.sweeps() == []


def test_watcher_shows_a_server_wait(
    store: Store,
    running: Callable[..., tuple[int, int, list[int]]],
    watcher: Callable[..., RecordingWatcher],
) -> None:
    _, worker, jobs = running(["a"], ["x"], name="tonight")
    store.update("workers", worker, {"pid": 1, "load_s": 1.0, "waiting_for": "503: Loading model"})
    store.start_run(jobs[0], worker)
    result = vlmsweep("watch", "--once", database=store.path)
    assert "waiting for the server: 503: Loading model" in result.output
    watching = watcher()
    watching.until(stream.WorkerWaiting, reason="503: Loading model")
    store.update("workers", worker, {"waiting_for": None})
    watching.until(stream.WorkerWaiting, reason=None)

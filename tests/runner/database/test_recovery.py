"""A supervisor that dies leaves nothing running and nothing lost; the next one goes on."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner import api
from runner.database import recovery, stale_processes
from runner.database.store import Store
from tests.helpers.paths import ROOT
from tests.helpers.processes import gone
from tests.helpers.scripted_sweep import FakeLauncher
from tests.helpers.waiting import wait_until

# A supervisor in a separate process, with scripted workers.
DRIVER = """
import sys
from pathlib import Path
from runner import api
from runner.planning import expand, sweepfile
from tests.helpers.scripted_sweep import FakeLauncher
file = Path(sys.argv[1])
plan = expand.expand_sweep(sweepfile.read(file), file.parent, str(file))
print("ready", flush=True)
api.run(plan, file.parent / "h.db", lambda event: print(event.event, flush=True),
             FakeLauncher())
"""


def start(folder: Path, prompts: list[str]) -> subprocess.Popen[str]:
    (folder / "good").mkdir(exist_ok=True)
    asked = [{"text": text, "images": "none"} for text in prompts]
    limits = {"first_token_s": 60, "run_s": 60}
    sweep = {"models": ["./good"], "prompts": asked, "limits": limits}
    (folder / "sweep.json").write_text(json.dumps(sweep))
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder / "sweep.json")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(driver: subprocess.Popen[str], event: str, times: int) -> None:
    assert driver.stdout
    while times:
        line = driver.stdout.readline()
        assert line, "the driver ended before its time"
        times -= line.strip() == event


def end(driver: subprocess.Popen[str]) -> None:
    """SIGKILL, as a power cut would."""
    assert driver.stdout
    driver.kill()
    driver.wait()
    driver.stdout.close()


def rows(database: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.slow
def test_killed_supervisor_is_recovered(tmp_path: Path) -> None:
    database = tmp_path / "h.db"
    driver = start(tmp_path, ["a", "b", "hang", "c"])
    wait_for(driver, "run_started", 3)
    end(driver)
    wait_until(lambda: gone(database))
    assert rows(database, "SELECT outcome FROM runs ORDER BY id") == [("ok",), ("ok",), (None,)]

    store = Store(database)
    found = recovery.recover(store)
    assert (found.runs, found.jobs) == (1, 1)
    assert recovery.recover(store) == recovery.RecoverySummary(0, 0, 0)
    ended = [(r["outcome"], r["phase"]) for r in store.db.query("SELECT * FROM runs ORDER BY id")]
    assert ended == [("ok", None), ("ok", None), ("interrupted", "prefill")]
    (sweep,) = store.db.query("SELECT * FROM sweeps")
    assert sweep["state"] == "interrupted"
    (worker,) = store.db.query("SELECT * FROM workers")
    assert worker["ended_at"] is not None
    assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()


@pytest.mark.slow
def test_resume_runs_missing_jobs_once(tmp_path: Path) -> None:
    database = tmp_path / "h.db"
    driver = start(tmp_path, ["a", "b", "slowly", "c"])
    wait_for(driver, "run_started", 3)
    end(driver)
    emitted: list[Any] = []
    swept = api.resume(database, 1, emitted.append, FakeLauncher())
    assert swept.state == "done"
    assert emitted[0].event == "recovered"
    assert rows(database, "SELECT prompt, outcome, attempt FROM results ORDER BY job_id") == [
        ("a", "ok", 1),
        ("b", "ok", 1),
        ("slowly", "ok", 2),
        ("c", "ok", 1),
    ]


def test_leftover_workers_are_killed_by_their_marker(
    store: Store, queued: Callable[..., int]
) -> None:
    queued(["good"], ["a"])
    store.start_run(1, store.start_worker(1, Path("/log"), 1))
    mark = {stale_processes.VARIABLE: stale_processes.read_marker(store.connection, store.path)}
    sleeper = [sys.executable, "-c", "import time; time.sleep(1000)"]
    left = subprocess.Popen(sleeper, env={**os.environ, **mark}, start_new_session=True)
    other = subprocess.Popen(sleeper, env={**os.environ, stale_processes.VARIABLE: "/another.db"})
    try:
        wait_until(lambda: stale_processes.VARIABLE in psutil.Process(left.pid).environ())
        assert recovery.recover(store).processes == 1
        assert not psutil.pid_exists(left.pid)
        assert other.poll() is None
    finally:
        left.poll()
        other.kill()
        other.wait()


def test_job_that_keeps_killing_supervisors_is_given_up(
    store: Store, queued: Callable[..., int]
) -> None:
    queued(["good"], ["a"])
    for attempt in range(1, recovery.ATTEMPTS + 1):
        store.start_run(1, None)
        assert recovery.recover(store).jobs == (attempt < recovery.ATTEMPTS)
    (job,) = store.db.query("SELECT state FROM jobs")
    assert job["state"] == "done"


def test_resume_retries_failures_but_not_excluded_jobs(
    store: Store, queued: Callable[..., int], tmp_path: Path
) -> None:
    rule = {"model": "better", "reason": "never"}
    queued(["good", "better"], ["a", "error"], exclude=[rule])
    store.close()
    api.resume(store.path, 1, lambda event: None, FakeLauncher())
    api.resume(store.path, 1, lambda event: None, FakeLauncher())
    found = rows(store.path, "SELECT model, prompt, outcome, attempt FROM results ORDER BY job_id")
    assert found == [
        ("good", "a", "ok", 1),
        ("good", "error", "error", 2),
        ("better", "a", "skipped", 1),
        ("better", "error", "skipped", 1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("same", [True, False])
def test_missing_image_is_prepared_again_unless_changed(tmp_path: Path, same: bool) -> None:
    from PIL import Image

    from runner.planning import expand, sweepfile

    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    (tmp_path / "error-in-load").mkdir()
    (tmp_path / "good").mkdir()
    data = {"models": ["./error-in-load"], "images": "a.png", "prompts": ["p"]}
    plan = expand.expand_sweep(sweepfile.validate(data, "test"), tmp_path, "test")
    api.run(plan, tmp_path / "h.db", lambda event: None, FakeLauncher())
    ((prepared,),) = rows(tmp_path / "h.db", "SELECT prepared_path FROM images")
    Path(prepared).unlink()
    if not same:
        Image.new("RGB", (8, 8), "blue").save(tmp_path / "a.png")
    api.resume(tmp_path / "h.db", 1, lambda event: None, FakeLauncher())
    assert Path(prepared).exists() == same
    ((error_class, phase),) = rows(
        tmp_path / "h.db", "SELECT error_class, phase FROM runs WHERE attempt = 2"
    )
    found = (error_class, phase)
    assert found == (("missing_package", "start") if same else ("not_found", "prepare"))

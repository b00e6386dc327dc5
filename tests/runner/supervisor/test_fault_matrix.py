"""The worker's rows of the fault matrix that test_supervisor.py lacks; docs/trust.md lists all.

Every test runs the real supervisor, shim and a process that really misbehaves.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.supervisor import worker_controller, worker_process
from runner.system import host
from schemas import stream
from scripts import faulty
from tests.helpers.scripted_sweep import Sweeper
from tests.helpers.waiting import WAIT_S, wait_until

pytestmark = pytest.mark.serial

QUICK = {"load_s": 600, "first_token_s": 2, "run_s": 60, "silence_s": 2}
LINUX_ONLY = pytest.mark.skipif(not host.LINUX, reason="a mechanism of Linux")
KINDS = ("child", "setsid-grandchild", "daemon", "bare-daemon")
FAULTY = Path(faulty.__file__)
Row = dict[str, Any]
Faults = Callable[..., tuple[list[Row], list[Row]]]


@pytest.fixture
def marker() -> str:
    """A word that no other process on this machine has on its command line."""
    return f"fault-{secrets.token_hex(6)}"


@pytest.fixture
def faults(store, tmp_path: Path, marker: str) -> Faults:
    """Runs prompts on one scripted model; returns the rows of its runs and its workers."""

    def run(*prompts: str, emit: faulty.EventSink = lambda event: None, **limits: Any):
        number = faulty.queue(store, tmp_path, prompts, QUICK | limits)
        faulty.supervisor(store, marker, emit).run_sweep(number)
        assert not faulty.marked(marker)
        return rows_of(store.path)

    return run


def rows_of(path: Path) -> tuple[list[Row], list[Row]]:
    """The runs and the workers a database holds."""
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        found = [
            [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY id")]  # noqa: S608
            for table in ("runs", "workers")
        ]
    db.close()
    return found[0], found[1]


def outcomes(runs: list[Row]) -> list[str]:
    return [run["outcome"] for run in runs]


class Witness:
    """Calls a function in the supervisor's thread when an event of a kind is emitted."""

    def __init__(self, kind: type, act: Callable[[int], None]) -> None:
        self.kind, self.act, self.pid, self.seen = kind, act, 0, 0

    def __call__(self, event: stream.StreamEvent) -> None:
        if isinstance(event, stream.WorkerStarted):
            self.pid = event.pid
        if isinstance(event, self.kind):
            self.seen += 1
            if self.seen == 1:
                self.act(self.pid)


# Descendants.


@LINUX_ONLY
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_descendant_is_killed_with_its_worker(faults, marker: str, kind: str) -> None:
    seen: dict[int, str] = {}
    look = Witness(stream.RunText, lambda pid: seen.update(until_all_are_up(marker)))
    runs, workers = faults(f"offspring {marker}", "after", emit=look)
    assert f"{marker}-{kind} 1000" in seen.values()
    assert not faulty.marked(f"{marker}-{kind}")
    assert outcomes(runs) == ["timeout", "ok"]
    assert workers[0]["survivors"] == 0
    assert workers[0]["killed_processes"] >= 5


def until_all_are_up(marker: str) -> dict[int, str]:
    """All four kinds, each as the program it becomes."""

    def look() -> dict[int, str] | None:
        found = faulty.marked(marker)
        up = all(any(f"{marker}-{kind}" in words for words in found.values()) for kind in KINDS)
        return found if up else None

    return wait_until(look)


@LINUX_ONLY
def test_fork_bomb_is_killed(faults) -> None:
    runs, workers = faults("bomb", "after", first_token_s=1)
    assert outcomes(runs) == ["timeout", "ok"]
    assert workers[0]["survivors"] == 0
    assert workers[0]["kill_s"] < 1.5  # left alone, it goes on for two seconds more


@LINUX_ONLY
def test_leaked_child_holding_the_pipes_delays_nothing(faults) -> None:
    runs, workers = faults("leak", "after")  # its child would last for ever
    assert outcomes(runs) == ["crashed", "ok"]
    assert workers[0]["exit_code"] == 0
    assert workers[0]["ended_at"] <= runs[1]["started_at"]


@LINUX_ONLY
def test_unrelated_process_holding_the_pipe_delays_nothing(faults, monkeypatch) -> None:
    monkeypatch.setattr(worker_controller, "DRAIN_S", 2 * WAIT_S)  # a pipe without an end
    held: list[int] = []

    def grab(pid: int) -> None:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        events = words[words.index(b"--events-fd") + 1].decode()
        held.append(os.open(f"/proc/{pid}/fd/{events}", os.O_WRONLY))

    release = threading.Timer(WAIT_S, lambda: os.close(held.pop()))  # lets a failing test end
    release.start()
    runs, _ = faults("leave soon", "after", emit=Witness(stream.RunStarted, grab))
    release.cancel()
    assert outcomes(runs) == ["crashed", "ok"]
    os.close(held.pop())  # held throughout


# Memory.


@LINUX_ONLY
def test_memory_of_a_killed_worker_is_freed(faults) -> None:
    size = 4_000_000_000 if psutil.virtual_memory().available > 8_000_000_000 else 1_500_000_000
    runs, workers = faults(f"hold {size}", first_token_s=600, run_s=600)
    assert outcomes(runs) == ["timeout"]
    assert workers[0]["peak_rss_bytes"] > size
    assert workers[0]["freed_bytes"] > size / 2  # of the whole machine, on which others live too
    assert workers[0]["kill_s"] < 5


@LINUX_ONLY
def test_memory_of_a_daemon_is_counted(faults) -> None:
    limits = {"memory_bytes": 300_000_000, "first_token_s": 600, "run_s": 600}
    runs, workers = faults("balloon in a daemon", "after", **limits)
    assert outcomes(runs) == ["memory_limit", "ok"]
    assert workers[0]["peak_rss_bytes"] < 3_000_000_000


@LINUX_ONLY
def test_memory_spike_of_25_ms_is_measured(faults) -> None:
    ((run,), _) = faults("spike", first_token_s=20)
    assert run["peak_rss_method"] == "VmHWM"
    assert run["peak_rss_bytes"] == pytest.approx(int(run["text"]), rel=0.01)
    assert run["peak_rss_bytes"] > 400_000_000


@LINUX_ONLY
def test_failed_allocation_is_reported_by_the_worker(faults) -> None:
    runs, workers = faults("address space", "after")
    assert outcomes(runs) == ["out_of_memory", "ok"]
    assert runs[0]["error_class"] == "out_of_memory"
    assert len(workers) == 1


@LINUX_ONLY
def test_worker_is_preferred_by_the_oom_killer(faults) -> None:
    ((run,), _) = faults("volunteer")
    assert run["text"] == "500"


@pytest.fixture
def memory_group(marker: str) -> Iterator[Path]:
    """A memory cgroup below our own, of 300 MB."""
    found = [
        place.parent for place in host.memory_cgroup_files("memory.max", "memory.limit_in_bytes")
    ]
    for parent in (folder for folder in found if folder.is_dir()):
        group = parent / marker
        limit = "memory.max" if (parent / "cgroup.type").exists() else "memory.limit_in_bytes"
        with suppress(OSError):
            group.mkdir()
            try:
                (group / limit).write_text("300000000")
                yield group
            finally:
                wait_until(lambda group=group: not (group / "cgroup.procs").read_text())
                group.rmdir()
            return
    pytest.skip("no memory cgroup can be made here")


@LINUX_ONLY
def test_kernel_oom_kill_is_distinguished_from_a_crash(
    memory_group: Path, tmp_path: Path, marker: str
) -> None:
    join = f'echo $$ > {memory_group}/cgroup.procs; exec "$@"'
    limits = json.dumps(QUICK | {"first_token_s": 600, "run_s": 600})
    path = tmp_path / "oom.db"
    argv = [sys.executable, str(FAULTY), str(path), marker, limits, "grow", "after"]
    subprocess.run(["sh", "-c", join, "sh", *argv], check=True, timeout=WAIT_S)
    runs, workers = rows_of(path)
    assert outcomes(runs) == ["out_of_memory", "ok"]
    assert (workers[0]["killed_for"], workers[0]["exit_signal"]) == (None, "SIGKILL")
    assert "the kernel ended the worker" in runs[0]["message"]


# Events.


def test_line_of_100_mb_is_skipped_without_using_memory(faults) -> None:
    host.reset_peak(os.getpid())
    before = host.process_memory(os.getpid())
    runs, workers = faults("long line", first_token_s=600)
    after = host.process_memory(os.getpid())
    assert outcomes(runs) == ["ok"]
    assert "a line of over" in workers[0]["notes"]
    if host.LINUX:
        assert before
        assert after
        assert after.peak - before.rss < 60_000_000


def test_events_out_of_order_change_nothing(faults) -> None:
    runs, workers = faults("out of order", "after")
    assert outcomes(runs) == ["ok", "ok"]
    assert [run["text"] for run in runs] == ["fine", "you said after"]
    assert "out of order" in workers[0]["notes"]
    assert len(workers) == 1


def test_exit_event_during_a_run_lifts_no_limit(faults) -> None:
    runs, workers = faults("farewell", "after", first_token_s=2)
    assert outcomes(runs) == ["timeout", "ok"]
    assert (workers[0]["killed_for"], runs[0]["phase"]) == ("first_token_s", "prefill")


def test_values_that_sqlite_cannot_store_are_refused(faults) -> None:
    runs, workers = faults("unstorable", "after")
    assert outcomes(runs) == ["ok", "ok"]
    assert "not JSON" in workers[0]["notes"]


def test_answer_after_the_deadline_is_ignored(faults) -> None:
    runs, workers = faults("late answer", "after", first_token_s=2)
    assert outcomes(runs) == ["timeout", "ok"]
    assert "too late" in workers[0]["notes"]
    assert runs[0]["phase"] == "prefill"
    assert runs[0]["text"] is None


# Its time and its end.


@pytest.mark.parametrize("model", ["good", "busy-load"])
def test_busy_worker_within_its_deadline_is_not_killed(sweep: Sweeper, model: str) -> None:
    done = sweep([model], ["busy"], limits=QUICK | {"first_token_s": 10, "silence_s": 1})
    assert done.rows[0]["outcome"] == "ok"
    assert done.workers[0]["killed_for"] is None


def test_external_kill_is_not_a_timeout(faults) -> None:
    kill = Witness(stream.RunStarted, lambda pid: os.kill(pid, signal.SIGKILL))
    runs, workers = faults("hang", "after", emit=kill)
    assert outcomes(runs) == ["crashed", "ok"]
    assert "SIGKILL" in runs[0]["message"]
    assert workers[0]["killed_for"] is None


def test_worker_that_hangs_at_exit_is_killed(sweep: Sweeper, monkeypatch) -> None:
    monkeypatch.setattr("runner.supervisor.deadlines.STOP_S", 0.3)
    done = sweep(["hang-at-exit"], ["a"])
    assert done.rows[0]["outcome"] == "ok"
    assert done.workers[0]["killed_for"] == "stop_s"
    assert done.workers[0]["killed_processes"] == 1


def test_deleted_worker_folder_is_recreated(faults) -> None:
    runs, workers = faults("delete folder", "after")
    assert outcomes(runs) == ["crashed", "ok"]
    assert Path(workers[1]["log_path"]).exists()


def test_full_log_keeps_its_newest_part(faults) -> None:
    runs, workers = faults("fill log", first_token_s=600)
    assert outcomes(runs) == ["ok"]
    log = Path(workers[0]["log_path"])
    sizes = [path.stat().st_size for path in log.parent.glob(log.name + "*")]
    assert sum(sizes) <= 17_000_000
    assert log.read_bytes().endswith(b"%099d\n" % 599_999)


def test_kill_steps_are_stored(faults) -> None:
    (run,), (worker,) = faults("hang", first_token_s=2)
    assert worker["killed_for"] == "first_token_s"
    assert worker["kill_signals"] == "SIGUSR1 SIGKILL"
    assert 0 < worker["stack_s"] < worker["kill_s"] < 5
    assert worker["kill_started_at"] < worker["ended_at"]
    assert (worker["phase"], worker["survivors"], worker["killed_processes"]) == ("prefill", 0, 1)
    assert "in forever" in run["traceback"]


# The guardian itself.


@LINUX_ONLY
def test_killed_shim_leaves_nothing_running(faults, marker: str) -> None:
    seen: dict[int, str] = {}

    def kill(pid: int) -> None:
        seen.update(until_all_are_up(marker))
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)

    look = Witness(stream.RunText, kill)
    runs, workers = faults(f"offspring {marker}", "after", emit=look, silence_s=600)
    assert len(seen) >= 6
    assert outcomes(runs) == ["crashed", "ok"]
    assert "processes it guarded were killed" in workers[0]["notes"]
    assert workers[0]["killed_for"] is None


@LINUX_ONLY
def test_stopped_shim_is_killed_after_a_time_limit(faults, marker: str, monkeypatch) -> None:
    monkeypatch.setattr(worker_process, "SHIM_TIMEOUT_S", 0.3)
    stop = Witness(stream.RunText, lambda pid: os.kill(psutil.Process(pid).ppid(), signal.SIGSTOP))
    runs, workers = faults(f"offspring {marker}", "after", emit=stop)
    assert outcomes(runs) == ["timeout", "ok"]
    assert "did not obey" in workers[0]["notes"]


@LINUX_ONLY
def test_killed_supervisor_leaves_nothing_running(tmp_path: Path, marker: str) -> None:
    path, limits = tmp_path / "dies.db", json.dumps(QUICK | {"silence_s": 600, "run_s": 600})
    argv = [sys.executable, str(FAULTY), str(path), marker, limits, f"offspring {marker}"]
    with subprocess.Popen(argv) as supervisor:
        assert len(until_all_are_up(marker)) >= 8  # the four, two forks, the shim and itself
        supervisor.kill()
        supervisor.wait()
        wait_until(lambda: not faulty.marked(marker))


def test_test_process_has_no_children_left() -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    mine = psutil.Process().children(recursive=True)
    assert [p for p in mine if p.status() != psutil.STATUS_ZOMBIE] == []

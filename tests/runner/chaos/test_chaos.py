"""`vlmsweep chaos` on real processes: handled faults pass and others are reported."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from runner.chaos import catalogue, faults, process_marks, runner
from runner.cli import cli
from runner.process import launcher
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S

KEYS = ["fault", "title", "expected", "got", "phase", "kill_s", "survivors", "next_ok"]
KEYS += ["took_s", "survived", "why"]


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary folder for the leftovers of chaos."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def no_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shim whose kill does nothing."""
    text = launcher.SHIM.read_text()
    head = "    def kill(self) -> int:\n"
    assert head in text
    broken = tmp_path / "broken_shim.py"
    broken.write_text(text.replace(head, f"{head}        return 0\n\n    def unused(self):\n"))
    monkeypatch.setattr(launcher, "SHIM", broken)


def chaos(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["chaos", *arguments])


def left_in(folder: Path) -> list[str]:
    """Returns the files that chaos left in its temporary folder."""
    return [path.name for path in folder.glob("vlmsweep-chaos-*")]


@pytest.mark.slow
def test_every_fault_is_survived_without_leftovers(tmp_path: Path) -> None:
    began = time.monotonic()
    result = chaos("--quick", "--json")
    rows = json.loads(result.stdout)
    assert [(row["fault"], row["why"]) for row in rows if not row["survived"]] == []
    assert result.exit_code == 0
    assert [row["fault"] for row in rows] == [f.name for f in catalogue.select_faults(quick=True)]
    assert list(rows[0]) == KEYS
    assert sum(row["survivors"] for row in rows) == 0
    assert all(row["kill_s"] > 0 for row in rows if row["got"] == "timeout")
    assert time.monotonic() - began < WAIT_S
    assert left_in(tmp_path) == []


def test_every_worker_fault_is_tried() -> None:
    tried = {fault.name for fault in catalogue.FAULTS if fault.where == "run"}
    tried |= {fault.name for fault in catalogue.FAULTS if fault.where == "supervisor"}
    assert tried - {"killed-from-outside"} == set(faults.FAULTS)


def test_descendant_that_never_started_is_not_counted_as_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lazy = [dataclasses.replace(f, kills=3) for f in catalogue.FAULTS if f.name == "grandchild"]
    monkeypatch.setattr(catalogue, "FAULTS", lazy)
    (row,) = json.loads(chaos("--quick", "--json").stdout)
    assert row["why"] == "2 of 3 processes were there to be killed"


def test_terminal_output_is_a_summary_without_progress() -> None:
    result = chaos("--quick", "--fault", "exit-without-answer", "--fault", "garbage")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "2 of 2 survived"
    assert "\x1b" not in result.output


def test_unknown_fault_is_refused() -> None:
    result = chaos("--fault", "gremlins")
    assert result.exit_code == 2
    assert "hang-in-python" in result.output


@pytest.mark.slow
@pytest.mark.usefixtures("no_kill")
def test_surviving_descendants_are_reported_and_killed(tmp_path: Path) -> None:
    names = ("grandchild", "own-session", "daemon", "bare-daemon", "leaked-child")
    arguments = [part for name in names for part in ("--fault", name)]
    result = chaos("--quick", "--json", *arguments)
    assert result.exit_code == 1
    for row in json.loads(result.stdout):
        assert not row["survived"], row
        assert row["survivors"] >= 1, row
        assert "of its processes were left" in row["why"]
    assert left_in(tmp_path) == []
    assert not [p for p in psutil.process_iter(["cmdline"]) if bears_any_mark(p, tmp_path)]


@pytest.mark.slow
@pytest.mark.usefixtures("no_kill")
def test_broken_kill_is_detected_when_the_supervisor_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "KILL_S", 1.0)
    result = chaos("--fault", "spawn-every-descendant")
    assert result.exit_code == 1
    assert "NOT survived" in result.stdout
    assert result.stdout.splitlines()[-1] == "0 of 1 survived"


@pytest.mark.slow
def test_hanging_supervisor_is_killed_after_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher.ShimHandle, "kill", lambda self: None)
    monkeypatch.setattr(runner, "TIMEOUT_S", 3.0)
    result = chaos("--quick", "--json", "--fault", "hang-in-native-code")
    (row,) = json.loads(result.stdout)
    assert result.exit_code == 1
    assert "did not end within 3 s" in row["why"]
    assert row["got"] is None


def test_store_failure_is_reported_without_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("runner.chaos.runner.api.run", broken)
    result = chaos("--json", "--fault", "exit-without-answer")
    (row,) = json.loads(result.stdout)
    assert result.exit_code == 1
    assert "No space left on device" in row["why"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_terminated_chaos_run_leaves_no_process(tmp_path: Path, number: int) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "runner", "chaos", "--fault", "bare-daemon"]
    # A separate session, so that only it receives the signal.
    running = subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.PIPE)
    mark = mark_of_a_worker_below(tmp_path)
    os.kill(running.pid, number)
    _, printed = running.communicate(timeout=WAIT_S)
    assert running.returncode == 130, printed
    assert process_marks.marked_processes(mark) == []
    assert left_in(tmp_path) == []


def test_only_processes_with_the_marker_are_killed() -> None:
    ours, other = process_marks.new_mark(), process_marks.new_mark()
    sleeper = [sys.executable, "-c", "import time; time.sleep(6000)"]
    started = [
        subprocess.Popen([*sleeper, ours]),
        subprocess.Popen(sleeper, env={process_marks.VARIABLE: ours}),
        subprocess.Popen([*sleeper, other]),
        subprocess.Popen(sleeper, env={process_marks.VARIABLE: other}),
    ]
    try:
        assert {p.pid for p in process_marks.wait_for(ours, 2, WAIT_S)} == {
            p.pid for p in started[:2]
        }
        assert process_marks.kill_marked(ours) == 0
        assert [p.wait(WAIT_S) for p in started[:2]] == [-signal.SIGKILL] * 2
        assert [p.poll() for p in started[2:]] == [None, None]
    finally:
        for process in started:
            process.kill()
            process.wait()


def bears_any_mark(process: psutil.Process, folder: Path) -> bool:
    """True if a trial in this folder started the process: a shim with its log there."""
    return any(str(folder) in argument for argument in process.info["cmdline"] or [])


def mark_of_a_worker_below(folder: Path) -> str:
    """The mark of the trial that keeps its files in a folder, once its worker and daemon are up."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["cmdline"]):
            if bears_any_mark(process, folder):
                found = [a for a in process.info["cmdline"] if a.startswith("vlmsweep-chaos-")]
                if found and len(process_marks.marked_processes(found[0])) >= 3:
                    return found[0]
        time.sleep(0.02)
    raise AssertionError("no trial began")

"""Sleep inhibitors that work, fail, hang or are missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from runner.system import keep_awake
from runner.system.keep_awake import SleepInhibitor
from schemas import stream
from tests.helpers.command_line import env
from tests.helpers.events import STARTED
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S

FINISHED = stream.SweepFinished(
    sweep="s", state="done", ok=0, failed=0, skipped=0, waiting=0, elapsed_s=0
)
Inhibitor = Callable[[str], Path]


@pytest.fixture
def inhibitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inhibitor:
    """Puts a systemd-inhibit of the test's own first in PATH, and takes D-Bus away."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)

    def make(script: str) -> Path:
        file = tmp_path / "systemd-inhibit"
        file.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{script}\n')
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "asked"

    return make


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_sleep_is_inhibited_from_the_first_to_the_last_sweep(inhibitor: Inhibitor) -> None:
    asked = inhibitor('for last; do :; done; exec "$last"')
    emitted: list[stream.StreamEvent] = []
    before, holding = children(), SleepInhibitor(emitted.append)
    holding(STARTED)
    assert emitted == [stream.SleepInhibited(ok=True, method="systemd-inhibit", message=None)]
    assert "--what=sleep:idle" in asked.read_text()
    (child,) = children() - before
    assert os.getsid(child.pid) == os.getsid(0)  # or it would be taken for a worker's leftover
    assert os.getpgid(child.pid) != os.getpgid(0)
    holding(FINISHED)
    assert children() == before
    holding(STARTED)
    holding.close()
    holding.close()
    assert children() == before
    assert len(emitted) == 1


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Failed to connect to bus' >&2; exit 1", "Failed to connect to bus"),
        ("exit 1", "it gave no answer"),
        ("exec sleep 1000", "it gave no answer"),
    ],
)
def test_failed_sleep_inhibition_is_reported_once(
    script: str, why: str, inhibitor: Inhibitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_awake, "REPLY_TIMEOUT_S", 0.2)
    inhibitor(script)
    emitted: list[stream.StreamEvent] = []
    before, holding = children(), SleepInhibitor(emitted.append)
    for _ in range(2):
        holding(STARTED)
        holding(FINISHED)
    (output,) = emitted
    assert isinstance(output, stream.SleepInhibited)
    assert not output.ok
    assert why in (output.message or "")
    assert children() == before


def test_missing_sleep_inhibitor_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(held: object) -> str:
        raise ImportError("No module named 'wakepy'")

    monkeypatch.setattr(keep_awake, "inhibit_with_wakepy", broken)
    monkeypatch.setenv("PATH", "")
    emitted: list[stream.StreamEvent] = []
    SleepInhibitor(emitted.append)(STARTED)
    (output,) = emitted
    assert isinstance(output, stream.SleepInhibited)
    assert output.message == (
        "the machine may fall asleep meanwhile: No module named 'wakepy';"
        " systemd-inhibit is not installed"
    )


def test_library_is_tried_before_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKEPY_FAKE_SUCCESS", "yes")
    emitted: list[stream.StreamEvent] = []
    before, holding = children(), SleepInhibitor(emitted.append)
    holding(STARTED)
    assert emitted == [stream.SleepInhibited(ok=True, method="WakepyFakeSuccess", message=None)]
    holding.close()
    assert children() == before


def test_inhibitor_exits_with_its_parent(inhibitor: Inhibitor) -> None:
    inhibitor('for last; do :; done; exec "$last"')
    code = (
        "import sys, psutil; from runner.system.keep_awake import SleepInhibitor;"
        "from tests.helpers.events import STARTED;"
        "SleepInhibitor(lambda event: None)(STARTED);"
        "print(psutil.Process().children()[0].pid, flush=True);"
        "sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env(),
        cwd=ROOT,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        inhibited = psutil.Process(int(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        child.wait()
        gone, alive = psutil.wait_procs([inhibited], timeout=WAIT_S)
    assert (len(gone), alive) == (1, [])

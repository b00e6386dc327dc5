"""A supervisor that stood still: answers that came meanwhile count, and the pause does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from runner.database.reader import connect
from runner.supervisor.deadlines import DeadlineMonitor
from runner.supervisor.pause_detector import PAUSE_S, PauseDetector
from schemas.states import Phase
from schemas.sweep import Limits
from tests.helpers.command_line import SCRIPTED, env, sweep_file
from tests.helpers.waiting import WAIT_S, wait_until

LIMIT_S = 5.0


@pytest.mark.parametrize("limit", ["first_token_s", "run_s"])
@pytest.mark.parametrize("answers", ["while it is stopped", "after it goes on"])
def test_answer_to_a_stopped_supervisor_is_no_timeout(
    tmp_path: Path, limit: str, answers: str
) -> None:
    (tmp_path / "good").mkdir()
    flag = tmp_path / "flag"
    prompt = f"until {flag}"
    sweep_file(tmp_path, [prompt], models=["./good"], limits={limit: LIMIT_S})
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPTED, "run", "sweep.yaml"],
        cwd=tmp_path,
        env=env(VLMSWEEP_DB=str(tmp_path / "h.db")),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: rows(tmp_path, "SELECT 1 FROM runs"))
        os.kill(process.pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        if answers == "while it is stopped":
            flag.touch()
        wait_until(lambda: time.monotonic() > stopped_at + LIMIT_S + 1)
        os.kill(process.pid, signal.SIGCONT)
        flag.touch()
        assert process.wait(timeout=WAIT_S) == 0
    finally:
        process.kill()
    assert rows(tmp_path, "SELECT outcome, text FROM runs") == [("ok", "at last")]


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """A query's rows; none while no database exists."""
    with suppress(Exception), closing(connect(folder / "h.db")) as connection:
        return list(connection.execute(query))
    return []


def test_only_a_long_delay_is_a_pause() -> None:
    now = 100.0
    pauses = PauseDetector(lambda: now)
    now += 20.1
    assert pauses.paused_s(20.0) == 0.0
    now += 20.0 + PAUSE_S
    assert pauses.paused_s(20.0) == PAUSE_S
    now += 0.5
    assert pauses.paused_s(20.0) == 0.0
    now += 9.0
    pauses.was_continued = True
    assert pauses.paused_s(20.0) == 9.0
    now += 9.0
    assert pauses.paused_s(20.0) == 0.0


@pytest.mark.parametrize("phase", list(Phase))
def test_every_deadline_is_postponed(phase: Phase) -> None:
    watch = DeadlineMonitor(Limits(), 0.0)
    if phase == Phase.GENERATE:
        watch.enter_phase(Phase.PREFILL, 5.0)
    watch.enter_phase(phase, 10.0)
    before = watch.deadlines()
    watch.postpone(1000.0, 2000.0)
    later = [(when + 1000.0, name, value) for when, name, value in before]
    assert watch.deadlines() == later
    watch.postpone(1000.0, 1000.0)  # not beyond now
    assert watch.deadlines() == later

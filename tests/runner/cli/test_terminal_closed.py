"""A terminal closed during a sweep: finished runs are stored, no process keeps running."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import termios
from contextlib import closing, suppress
from pathlib import Path

import pytest

from runner.database.reader import connect
from tests.helpers.command_line import SCRIPTED, env, sweep_file
from tests.helpers.processes import gone
from tests.helpers.waiting import WAIT_S, wait_until

pytestmark = pytest.mark.slow


def test_closed_terminal_stops_the_sweep_without_loss(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    sweep_file(tmp_path, ["a", "hang", "b"], models=["./good"])
    database = tmp_path / "h.db"
    master, slave = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPTED, "run", "sweep.yaml"],
        cwd=tmp_path,
        env=env(VLMSWEEP_DB=str(database), TERM="xterm"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(slave)

    os.set_blocking(master, False)

    def hangs() -> bool:
        with suppress(BlockingIOError):  # a terminal that takes nothing would stop the writer
            os.read(master, 1 << 20)
        return "hang" in started(database)

    try:
        wait_until(hangs)
        os.close(master)
        assert process.wait(timeout=WAIT_S) == 130
    finally:
        process.kill()
    with closing(connect(database)) as connection:
        rows = connection.execute("SELECT outcome, state FROM results, sweeps").fetchall()
    assert rows == [("ok", "interrupted"), ("interrupted", "interrupted"), (None, "interrupted")]
    wait_until(lambda: gone(database))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_signal_ignored_at_the_start_stays_ignored(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "good").mkdir()
    sweep_file(tmp_path, ["a", f"until {tmp_path}/flag", "b"], models=["./good"])
    database = tmp_path / "h.db"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPTED, "run", "sweep.yaml"],
        cwd=tmp_path,
        env=env(VLMSWEEP_DB=str(database)),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
    )
    try:
        wait_until(lambda: len(started(database)) == 2)
        process.send_signal(number)
        (tmp_path / "flag").touch()
        assert process.wait(timeout=WAIT_S) == 0
    finally:
        process.kill()
    assert len(started(database)) == 3


def started(database: Path) -> list[str]:
    """The prompts of started runs; none while no database exists."""
    with suppress(sqlite3.OperationalError), closing(connect(database)) as connection:
        query = "SELECT prompt FROM results WHERE run_id IS NOT NULL"
        return [prompt for (prompt,) in connection.execute(query)]
    return []

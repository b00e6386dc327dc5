"""Output that nobody reads: the sweep runs to its end, and signals are handled."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from runner.database.reader import connect
from tests.helpers.command_line import SCRIPTED, env, sweep_file
from tests.helpers.waiting import WAIT_S, wait_until

JOBS = 40
QUICK_END = "import runner.view.sinks as sinks; sinks.END_STALLED_S = 0.5; "
SMALL_LIMIT = "import runner.view.background_writer as writer; writer.PENDING_LIMIT = 2000; "


@contextmanager
def running(
    folder: Path, out: int, *arguments: str, code: str = SCRIPTED, error: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process whose standard output is `out`."""
    process = subprocess.Popen(
        [sys.executable, "-c", QUICK_END + code, *arguments],
        cwd=folder,
        env=env(VLMSWEEP_DB=str(folder / "h.db"), TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=error,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def counts(folder: Path) -> dict[str | None, int]:
    """The jobs by outcome; none while no database exists."""
    with suppress(sqlite3.OperationalError), closing(connect(folder / "h.db")) as connection:
        return dict(connection.execute("SELECT outcome, count(*) FROM results GROUP BY 1"))
    return {}


def many_jobs(folder: Path, *more: str) -> None:
    (folder / "good").mkdir()
    sweep_file(
        folder,
        [f"job {number} {'long ' * 200}" for number in range(JOBS)] + list(more),
        models=["./good"],
    )


def test_json_that_is_not_read_costs_no_job(tmp_path: Path) -> None:
    many_jobs(tmp_path)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with running(tmp_path, writer, "run", "--json", "sweep.yaml") as process:
        _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert counts(tmp_path) == {"ok": JOBS}
    assert b"Note: output ended (it is not being read); the sweep goes on." in errors
    os.close(writer)
    lines = os.read(reader, 4096).splitlines()
    os.close(reader)
    assert json.loads(lines[0])["event"]


def test_reader_too_far_behind_is_disconnected_during_the_sweep(tmp_path: Path) -> None:
    many_jobs(tmp_path, "hang")
    reader, writer = os.pipe()
    code = SMALL_LIMIT + SCRIPTED
    with running(tmp_path, writer, "run", "--json", "sweep.yaml", code=code) as process:
        assert process.stderr is not None
        assert b"it is not being read" in process.stderr.readline()
        wait_until(lambda: counts(tmp_path).get("ok") == JOBS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=WAIT_S) == 130
    os.close(reader)
    os.close(writer)


def test_terminal_that_takes_nothing_stops_no_job(tmp_path: Path) -> None:
    many_jobs(tmp_path, "hang")
    master, slave = pty.openpty()
    with running(tmp_path, slave, "run", "sweep.yaml", error=slave) as process:
        wait_until(lambda: counts(tmp_path).get("ok") == JOBS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=WAIT_S) == 130
    os.close(slave)
    os.close(master)


def test_stopped_terminal_shows_the_end_when_it_goes_on(tmp_path: Path) -> None:
    many_jobs(tmp_path)
    master, slave = pty.openpty()
    with running(tmp_path, slave, "run", "sweep.yaml", error=slave) as process:
        termios.tcflow(slave, termios.TCOOFF)  # Ctrl-S
        wait_until(lambda: counts(tmp_path).get("ok") == JOBS)
        termios.tcflow(slave, termios.TCOON)
        os.close(slave)
        shown = b""
        with suppress(OSError):  # the end of a terminal
            while piece := os.read(master, 65_536):
                shown += piece
        assert process.wait(timeout=WAIT_S) == 0
    assert b"Stored in" in shown
    os.close(master)

"""Only processes that a database's own supervisor started are killed as leftovers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.database.stale_processes import VARIABLE, kill_stale_processes, read_marker
from runner.database.store import Store
from tests.helpers.paths import ROOT
from tests.helpers.waiting import wait_until

NOBODY = 65534
SLEEP = ["/bin/sleep", "1000"]
# A parent with the marker, whose child kills the leftovers.
PARENT = """
import subprocess, sys
child = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
print(subprocess.run(child, stdout=subprocess.PIPE, text=True).stdout, end="", flush=True)
"""
CHILD = """
import sys
from runner.database.stale_processes import kill_stale_processes
print("killed", kill_stale_processes(sys.argv[1]))
"""


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a process with a marker; returns once it shows."""
    started = []

    def start(marker: str, **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(SLEEP, env={"PATH": "/bin", VARIABLE: marker}, **options)
        started.append(process)
        wait_until(lambda: psutil.Process(process.pid).environ().get(VARIABLE) == marker)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def marker_of(store: Store) -> str:
    return read_marker(store.connection, store.path)


def test_process_with_the_marker_is_killed(store: Store, begin) -> None:
    left = begin(marker_of(store), start_new_session=True)
    assert kill_stale_processes(marker_of(store)) == 1
    assert not psutil.pid_exists(left.pid)


def test_exported_path_marks_nothing(store: Store, begin) -> None:
    shells = [begin(str(store.path)), begin(f":{store.path}"), begin(store.path.name)]
    assert kill_stale_processes(marker_of(store)) == 0
    assert [shell.poll() for shell in shells] == [None] * 3


def test_other_database_of_the_same_path_marks_nothing(tmp_path: Path, begin) -> None:
    """As in another container, or after the first was deleted."""
    with closing(Store(tmp_path / "h.db")) as first:
        other = begin(marker_of(first))
    (tmp_path / "h.db").unlink()
    with closing(Store(tmp_path / "h.db")) as second:
        assert kill_stale_processes(marker_of(second)) == 0
    assert other.poll() is None


def test_copied_database_leaves_the_workers_of_the_original(tmp_path: Path, begin) -> None:
    with closing(Store(tmp_path / "h.db")) as store:
        other = begin(marker_of(store))
    shutil.copy(tmp_path / "h.db", tmp_path / "copy.db")
    with closing(Store(tmp_path / "copy.db")) as copy:
        assert kill_stale_processes(marker_of(copy)) == 0
    assert other.poll() is None


def test_token_is_kept_with_the_database(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "h.db")) as store:
        before = marker_of(store)
    with closing(Store(tmp_path / "h.db")) as store:
        assert marker_of(store) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user's process")
def test_process_of_another_user_is_left(store: Store, begin) -> None:
    other = begin(marker_of(store), user=NOBODY, group=NOBODY, extra_groups=[])
    assert kill_stale_processes(marker_of(store)) == 0
    assert other.poll() is None


def test_process_of_another_uid_is_left(store: Store, begin, monkeypatch) -> None:
    other = begin(marker_of(store))
    monkeypatch.setattr("os.getuid", lambda: NOBODY)
    assert kill_stale_processes(marker_of(store)) == 0
    assert other.poll() is None


@pytest.mark.parametrize("leader", [False, True])
def test_ancestors_and_the_session_leader_are_left(store: Store, leader: bool) -> None:
    marker = marker_of(store)
    done = subprocess.run(
        [sys.executable, "-c", PARENT, CHILD, marker],
        cwd=ROOT,
        env={**os.environ, VARIABLE: marker},
        start_new_session=leader,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "killed 0\n")

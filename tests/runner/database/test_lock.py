"""One process at a time writes a database, whatever happens to its lock file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from runner.database import lock
from runner.database.file_names import files_folder, lock_file
from runner.database.liveness import has_supervisor
from runner.database.store import Store
from runner.errors import BusyError
from tests.helpers.paths import ROOT

OPEN = """
import sys
from pathlib import Path
from runner.database.store import Store
from runner.errors import BusyError
try:
    Store(Path(sys.argv[1])).close()
except BusyError:
    sys.exit(3)
"""
BUSY = 3


def open_in_another_process(database: Path) -> int:
    return subprocess.run([sys.executable, "-c", OPEN, str(database)], cwd=ROOT).returncode


def remove(file: Path) -> None:
    file.unlink()


def move(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))


def replace(file: Path) -> None:
    new = file.with_name("new")
    new.touch()
    new.replace(file)


CHANGES = [remove, move, replace]


@pytest.mark.skipif(sys.platform != "linux", reason="needs locks of open descriptors")
@pytest.mark.parametrize("change", CHANGES)
def test_changed_lock_file_lets_no_second_supervisor_in(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with closing(Store(tmp_path / "h.db")) as store:
        change(lock_file(store.path))
        assert open_in_another_process(store.path) == BUSY
        with pytest.raises(BusyError, match="another vlmsweep"):
            Store(store.path)
    assert open_in_another_process(store.path) == 0


@pytest.mark.parametrize("change", CHANGES)
def test_changed_lock_file_is_locked_again(tmp_path: Path, change: Callable[[Path], None]) -> None:
    with closing(Store(tmp_path / "h.db")) as store:
        change(lock_file(store.path))
        store.files.check()
        assert has_supervisor(store.path)
        assert lock.lock_owner_pid(store.path) == os.getpid()
        with pytest.raises(BusyError):
            lock.take(store.path)
    assert not has_supervisor(store.path)


def test_lock_file_of_another_supervisor_ends_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where only lock files exist: the second one locked a new file."""
    with closing(Store(tmp_path / "h.db")) as store:
        lock_file(store.path).unlink()
        other = lock.take(store.path)
        store.files.check()  # it may only be about to be refused
        monkeypatch.setattr(lock, "CONTESTED_S", -1.0)
        with pytest.raises(BusyError):
            store.files.check()
        os.close(other)
        store.files.check()
        assert has_supervisor(store.path)


def test_file_removed_while_it_is_locked_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, times = tmp_path / "h.db", []

    def slow(descriptor: int, path: Path) -> bool:
        times.append(descriptor)
        if len(times) == 1:
            lock_file(path).unlink()
        return lock_now(descriptor, path)

    lock_now = lock.try_lock
    monkeypatch.setattr(lock, "try_lock", slow)
    held = lock.take(database)
    assert len(times) == 2
    assert lock.is_at(held, lock_file(database))
    os.close(held)


def test_moved_database_that_is_still_open_is_busy(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "h.db")) as store:
        there = store.path.rename(tmp_path / "there.db")
        if sys.platform == "linux":
            assert open_in_another_process(there) == BUSY


@pytest.mark.parametrize("name", ["h", "h.sqlite", "h.db.db", "h.files", "H.DB2", "h.tar.db"])
def test_databases_share_no_folder_and_no_lock(tmp_path: Path, name: str) -> None:
    first, second = tmp_path / "h.db", tmp_path / name
    assert files_folder(first) != files_folder(second)
    assert lock_file(first) != lock_file(second)
    assert len({first, second, files_folder(first), files_folder(second)}) == 4

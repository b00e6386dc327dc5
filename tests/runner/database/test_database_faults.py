"""A damaged, read-only or busy database is reported and nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import api
from runner.database.store import Store
from runner.errors import DatabaseError
from tests.helpers.scripted_sweep import FakeLauncher, Sweeper


@pytest.fixture
def filled(sweep: Sweeper) -> Path:
    """A database with a sweep that ran, closed and whole in one file."""
    done = sweep(["good"], [f"question {n}" for n in range(40)])
    path = done.store.path
    done.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    done.store.close()
    return path


def noise(path: Path) -> None:
    """Overwrites the middle of the file."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(20_000))


def cut(path: Path) -> None:
    """Takes the file's second half away."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [noise, cut])
def test_damaged_file_is_refused_and_kept(filled: Path, damage: Callable[[Path], None]) -> None:
    damage(filled)
    before = filled.read_bytes()
    with pytest.raises(DatabaseError, match=r"damaged|malformed|not a database"):
        Store(filled)
    assert filled.read_bytes() == before


def test_read_only_file_is_refused(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anyway, so SQLite itself opens the file read-only."""
    real = sqlite3.connect

    def read_only(path: Any, **more: Any) -> sqlite3.Connection:
        return real(f"file:{path}?mode=ro", uri=True, **more)

    monkeypatch.setattr("runner.database.store.sqlite3.connect", read_only)
    with pytest.raises(DatabaseError, match="readonly"):
        Store(filled)


def resume_three(path: Path) -> float:
    """Runs three jobs of the sweep again; returns how long it took, in seconds."""
    store = Store(path)
    store.connection.execute("UPDATE jobs SET state = 'queued' WHERE id <= 3")
    store.close()
    began = time.monotonic()
    assert api.resume(path, 1, lambda event: None, FakeLauncher()).state == "done"
    return time.monotonic() - began


def test_long_read_transaction_delays_nothing(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A statement that waits for the reader, even one, takes far longer than all the rest.
    wait_s = 30 + 20 * resume_three(filled)
    monkeypatch.setattr("runner.database.store.BUSY_TIMEOUT_S", wait_s)
    reader = sqlite3.connect(f"file:{filled}?mode=ro", uri=True)
    reader.execute("BEGIN")
    (count,) = reader.execute("SELECT count(*) FROM runs").fetchone()
    assert resume_three(filled) < wait_s
    assert reader.execute("SELECT count(*) FROM runs").fetchone() == (count,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM runs").fetchone() == (count + 3,)
    reader.close()


def test_clock_set_back_changes_no_duration(
    sweep: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deadlines and durations are monotonic: the time of day may jump as it likes."""
    times = iter(range(2_000_000_000, 0, -1_000_000))
    monkeypatch.setattr("time.time", lambda: float(next(times)))
    done = sweep(["good"], ["a", "hang", "b"], limits={"first_token_s": 1})
    assert [row["outcome"] for row in done.rows] == ["ok", "timeout", "ok"]
    assert all(0 <= (worker["kill_s"] or 0) < 10 for worker in done.workers)

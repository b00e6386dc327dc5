"""Prune and backup: safe during concurrent writes, and no run is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.commands import prune
from runner.control.server import ControlServer
from runner.database.backup import backup
from runner.database.file_names import files_folder
from runner.database.store import Store
from runner.errors import DatabaseError
from tests.helpers.scripted_sweep import Sweeper

LATER = datetime.now(UTC) + timedelta(days=1)
ALL = ("logs", "images", "samples")


def aged(folder: Path) -> None:
    """Makes every file of a folder two days old."""
    past = time.time() - 2 * 86_400
    for file in folder.rglob("*"):
        os.utime(file, (past, past))


@pytest.fixture
def filled(sweep: Sweeper, store: Store, tmp_path: Path) -> Path:
    """A sweep that is done, with logs, samples and a prepared image."""
    done = sweep(["good"], ["slowly", "flood"])
    worker = done.workers[0]
    for at in range(50):
        store.add_sample(worker["id"], {"at_s": 100.0 + at, "phase": "generate", "rss_bytes": 1})
    image = store.folder("images/aa") / "aa.png"
    image.write_bytes(b"x" * 100)
    store.close()
    return store.path


def runs(database: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT * FROM runs").fetchall()


def test_prune_removes_old_files_but_no_run(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.control.handlers.PRUNED_AT_ONCE", 7)
    before = runs(filled)
    aged(files_folder(filled))
    would = prune.prune_files(filled, LATER, ALL, dry=True)
    done = prune.prune_files(filled, LATER, ALL)
    assert would == done
    assert done.samples >= 50
    assert done.logs >= 1
    assert done.log_bytes > 100_000
    assert (done.images, done.image_bytes) == (1, 100)
    assert runs(filled) == before
    assert prune.prune_files(filled, LATER, ALL) == prune.PruneResult(0, 0, 0, 0, 0)


def test_prune_keeps_recent_and_unselected_files(filled: Path) -> None:
    aged(files_folder(filled))
    early = datetime.now(UTC) - timedelta(days=1)
    young = prune.prune_files(filled, early, ("logs", "samples"))
    assert young == prune.PruneResult(0, 0, 0, 0, 0)
    assert prune.prune_files(filled, LATER, ("samples",)).logs == 0
    assert prune.prune_files(filled, LATER, ("logs",)).logs >= 1


def test_prune_keeps_images_of_jobs_and_recently_used_images(
    store: Store, queued: Callable[..., int], tmp_path: Path
) -> None:
    shelf = store.folder("images/aa")
    needed, fresh, old = (shelf / f"{name}.png" for name in ("needed", "fresh", "old"))
    for file in (needed, fresh, old):
        file.write_bytes(b"x")
    (tmp_path / "a.png").touch()
    queued(["good"], ["a"], images=["a.png"])
    store.connection.execute("UPDATE images SET prepared_path = ?", [str(needed)])
    aged(shelf)
    os.utime(fresh)
    store.close()
    assert prune.prune_files(store.path, LATER, ALL).images == 1
    assert (needed.exists(), fresh.exists(), old.exists()) == (True, True, False)


def test_backup_is_complete_during_concurrent_writes(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "copy.db"
    store = Store(filled)
    with ControlServer(store):
        store.connection.execute("BEGIN IMMEDIATE")
        store.connection.execute("UPDATE sweeps SET label = 'not yet'")
        size = backup(filled, copy)
        store.connection.execute("COMMIT")
    store.close()
    assert size == copy.stat().st_size
    assert runs(copy) == runs(filled)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT label FROM sweeps").fetchone() == (None,)
    Store(copy).close()


def test_backup_does_not_overwrite_without_force(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    with pytest.raises(DatabaseError, match="there already"):
        backup(filled, copy)
    assert copy.read_text() == "mine"
    backup(filled, copy, replace=True)
    with pytest.raises(DatabaseError, match="itself"):
        backup(filled, filled, replace=True)
    with pytest.raises(DatabaseError, match="cannot copy"):
        backup(filled, tmp_path / "copy.db" / "in a file", replace=True)
    assert [file.name for file in tmp_path.glob(".copy*")] == []


def test_prune_deletes_only_inside_its_own_folder(
    sweep: Sweeper, store: Store, tmp_path: Path
) -> None:
    """A row from an imported history may name any file."""
    sweep(["good"], ["a"])
    mine = tmp_path / "mine.txt"
    mine.write_text("keep me")
    store.connection.execute("UPDATE workers SET log_path = ?", [str(mine)])
    store.close()
    assert prune.prune_files(store.path, LATER, ALL).logs == 0
    assert mine.exists()


def test_prune_keeps_needed_images_in_any_folder_name(
    store: Store, queued: Callable[..., int], tmp_path: Path
) -> None:
    (tmp_path / "there").symlink_to(tmp_path)
    (tmp_path / "a.png").touch()
    queued(["good"], ["a"], images=["a.png"])
    kept = store.folder("images") / "kept.png"
    kept.touch()
    by_link = tmp_path / "there" / kept.relative_to(tmp_path)
    store.connection.execute("UPDATE images SET prepared_path = ?", [str(by_link)])
    aged(kept.parent)
    store.close()
    prune.prune_files(store.path, LATER, ALL)
    assert kept.exists()


def test_prune_leaves_the_files_of_a_database_with_a_similar_name(filled: Path) -> None:
    """`x.db` and `x.sqlite` in one folder."""
    other = filled.with_suffix(".sqlite")
    shutil.copy(filled, other)
    logs = [*files_folder(filled).rglob("*.log")]
    aged(files_folder(filled))
    done = prune.prune_files(other, LATER, ("logs", "images"))
    assert logs
    assert (done.logs, done.images) == (0, 0)
    assert all(log.is_file() for log in logs)

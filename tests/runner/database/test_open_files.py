"""A database that is moved, deleted or replaced while it is open: no committed row is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from runner.database.store import Store
from runner.errors import DatabaseError

ROWS = 200


def filled(store: Store) -> None:
    """Rows that are still in the write-ahead log."""
    for number in range(ROWS):
        store.insert(
            "requests",
            {
                "uid": f"u{number}",
                "processed_at": "",
                "action": "a",
                "arguments": "{}",
                "reply": "{}",
            },
        )


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM requests").fetchone()
        return int(rows)


def moved(database: Path) -> Path:
    return database.rename(database.with_name("elsewhere.db"))


def moved_into_a_folder(database: Path) -> Path:
    (database.parent / "backup").mkdir()
    return database.rename(database.parent / "backup" / database.name)


def replaced(database: Path) -> Path:
    there = moved(database)
    database.write_bytes(b"another file")
    return there


def deleted(database: Path) -> None:
    database.unlink()


def without_log(database: Path) -> Path:
    Path(f"{database}-wal").unlink()
    return database


def without_index(database: Path) -> Path:
    Path(f"{database}-shm").unlink()
    return database


CHANGES = [moved, moved_into_a_folder, replaced, deleted, without_log, without_index]


@pytest.mark.parametrize("change", CHANGES)
def test_all_rows_are_saved_and_their_file_is_named(
    tmp_path: Path, change: Callable[[Path], Path | None]
) -> None:
    store = Store(tmp_path / "h.db")
    store.files.check()
    filled(store)
    there = change(store.path)
    with pytest.raises(DatabaseError, match="moved, deleted or replaced") as caught:
        store.files.check()
    store.close()
    saved = there or next(tmp_path.glob("h-saved-*.db"))
    assert str(saved) in str(caught.value.hint)
    assert count(saved) == ROWS
    with closing(Store(saved)) as again:
        again.files.check()


@pytest.mark.parametrize("change", CHANGES)
def test_rows_are_saved_when_it_is_closed_before_anybody_noticed(
    tmp_path: Path, change: Callable[[Path], Path | None]
) -> None:
    store = Store(tmp_path / "h.db")
    filled(store)
    there = change(store.path)
    store.close()
    assert count(there or next(tmp_path.glob("h-saved-*.db"))) == ROWS


def test_other_connections_change_nothing(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "h.db")) as store:
        filled(store)
        for _ in range(3):
            assert count(store.path) == ROWS
            store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            store.files.check()

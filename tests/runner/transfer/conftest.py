"""Databases by name, and a history to exchange. Both are made once, and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.database.store import Store
from tests.helpers import histories
from tests.helpers.histories import Stores


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with nothing in it."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    Store(path).close()
    return path


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a history of three sweeps: done, interrupted with retries, and done."""
    folder = tmp_path_factory.mktemp("filled")
    store = Store(folder / "theirs" / "theirs.db")
    histories.work(store, histories.add_sweep(store, folder, "one", ["p", "q"]))
    second = histories.add_sweep(store, folder, "two", ["q", "r"], repeats=2)
    histories.work(store, second, 5, "timeout")
    store.connection.execute("UPDATE jobs SET state = 'queued' WHERE position IN (0, 1)")
    histories.work(store, second, 3)
    excluded = [{"model": "first", "reason": "known to fail"}]
    histories.work(store, histories.add_sweep(store, folder, "three", ["p"], exclude=excluded))
    store.close()
    return folder / "theirs"


@pytest.fixture
def stores(tmp_path: Path, empty: Path) -> Iterator[Stores]:
    """Creates databases by name, each in a separate folder."""
    made: dict[str, Store] = {}

    def give(name: str) -> Store:
        if name not in made:
            path = tmp_path / name / f"{name}.db"
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                shutil.copy(empty, path)
            made[name] = Store(path)
        return made[name]

    yield give
    for store in made.values():
        store.close()


@pytest.fixture
def theirs(stores: Stores, tmp_path: Path, filled: Path) -> Store:
    """That history, to be changed at will."""
    shutil.copytree(filled, tmp_path / "theirs")
    store = stores("theirs")
    for table, column in (("workers", "log_path"), ("images", "prepared_path")):
        store.connection.execute(
            f"UPDATE {table} SET {column} = replace({column}, ?, ?)",  # noqa: S608
            [str(filled), str(tmp_path / "theirs")],
        )
    return store

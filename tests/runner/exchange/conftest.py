"""Databases by name, and a history to exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.database.store import Store

from . import histories

Stores = Callable[[str], Store]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Gives databases by name, each in a folder of its own."""
    made: dict[str, Store] = {}

    def give(name: str) -> Store:
        if name not in made:
            made[name] = Store(tmp_path / name / f"{name}.db")
        return made[name]

    yield give
    for store in made.values():
        store.close()


@pytest.fixture
def theirs(stores: Stores, tmp_path: Path) -> Store:
    """A history of three sweeps: done, interrupted with retries and failures, and done."""
    store = stores("theirs")
    histories.work(store, histories.add_sweep(store, tmp_path, "one", ["p", "q"]))
    second = histories.add_sweep(store, tmp_path, "two", ["q", "r"], repeats=2)
    histories.work(store, second, 5, "timeout")
    store.connection.execute("UPDATE jobs SET state = 'queued' WHERE position IN (0, 1)")
    histories.work(store, second, 3)
    excluded = [{"model": "first", "reason": "known to fail"}]
    histories.work(store, histories.add_sweep(store, tmp_path, "three", ["p"], exclude=excluded))
    return store

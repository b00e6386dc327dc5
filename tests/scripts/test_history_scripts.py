"""The made-up history is a real one, and no question with a target reads a large table whole."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from runner.database.store import Store

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def scripts() -> Iterator[tuple[ModuleType, ModuleType]]:
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield (
            importlib.import_module("make_history"),
            importlib.import_module("measure_history"),
        )
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, scripts: tuple[ModuleType, ModuleType]) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.db"
    store = Store(path)
    made = scripts[0].make(store, 600)
    assert made.total >= 600
    assert store.connection.execute("SELECT count(*) FROM runs").fetchone() == (made.total,)
    assert store.connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert store.connection.execute(
        "SELECT count(*) FROM jobs WHERE state <> 'done' OR latest_run_id IS NULL"
    ).fetchone() == (0,)
    store.close()
    return path


def test_every_query_works_without_scanning_a_large_table(
    long: Path, scripts: tuple[ModuleType, ModuleType]
) -> None:
    measure = scripts[1]
    for name, (_, ask) in measure.questions(3).items():
        used, scanned = measure.plan(long, ask)
        assert used, name
        assert scanned == (["SCAN runs"] if name == "latest" else []), name


def test_table_scan_is_detected(long: Path, scripts: tuple[ModuleType, ModuleType]) -> None:
    ask = lambda r: r.records("SELECT j.repeat FROM jobs AS j WHERE repeat = 9")  # noqa: E731
    assert scripts[1].plan(long, ask)[1] == ["SCAN j"]

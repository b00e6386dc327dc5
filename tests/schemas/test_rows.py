"""Holds the documentation of the database against the database."""

from __future__ import annotations

import subprocess
import sys
import types
import typing
from pathlib import Path

import pytest

from runner.database.store import Store
from schemas import rows
from tests.helpers.paths import ROOT

DOCUMENTED = rows.TABLES | rows.VIEWS


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "x.db")
    yield store
    store.close()


def test_every_table_and_view_is_documented(store: Store) -> None:
    listed = store.connection.execute("PRAGMA main.table_list").fetchall()
    there = {name for _, name, kind, *_ in listed if kind != "shadow"}
    assert there - {"_sqlite_migrations", "sqlite_sequence", "sqlite_schema"} == set(DOCUMENTED)


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_every_column_is_documented(store: Store, name: str) -> None:
    columns = store.connection.execute(f"PRAGMA table_xinfo({name})")
    there = [row[1] for row in columns if row[-1] != 1]
    hints = typing.get_type_hints(DOCUMENTED[name], include_extras=True)
    assert set(there) == set(hints)


@pytest.mark.parametrize("name", sorted(rows.TABLES))
def test_nullable_columns_say_when_they_are_null(store: Store, name: str) -> None:
    hints = typing.get_type_hints(DOCUMENTED[name], include_extras=True)
    for _, column, _, not_null, _, primary, hidden in store.connection.execute(
        f"PRAGMA table_xinfo({name})"
    ):
        if hidden == 1:
            continue
        kind, meaning = typing.get_args(hints[column])
        nullable = isinstance(kind, types.UnionType)
        assert nullable == (not not_null and not primary), column
        assert ("NULL" in meaning) == nullable, column


def test_generated_files_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/make_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""The store: nothing is lost, nothing foreign is touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.database import MIGRATIONS
from runner.database.migrations import migrations
from runner.database.reader import Reader
from runner.database.store import Store, display_path
from runner.errors import DatabaseError
from runner.supervisor.queue import Queue
from runner.system.timestamps import utc_now
from schemas.events import Fetched


def test_database_settings_are_durable(store: Store) -> None:
    def pragma(name: str) -> object:
        return store.connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("foreign_keys") == 1
    assert pragma("busy_timeout") >= 1000
    assert pragma("integrity_check") == "ok"


def test_reopening_changes_nothing(store: Store) -> None:
    before = store.connection.execute("SELECT sql FROM sqlite_master").fetchall()
    store.close()
    again = Store(store.path)
    assert again.connection.execute("SELECT sql FROM sqlite_master").fetchall() == before
    again.close()


def test_listed_migrations_are_those_applied(store: Store) -> None:
    assert tuple(found.name for found in migrations.applied(store.db)) == MIGRATIONS


def test_database_of_another_program_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    bytes_before = path.read_bytes()
    with pytest.raises(DatabaseError, match="some other program"):
        Store(path)
    assert path.read_bytes() == bytes_before


def test_file_that_is_not_a_database_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"dear diary " * 500)
    with pytest.raises(DatabaseError, match="not a database"):
        Store(path)
    assert path.read_bytes() == b"dear diary " * 500


def test_newer_schema_is_refused(store: Store) -> None:
    store.connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('vlmsweep', 'm999_future', '')"
    )
    store.close()
    with pytest.raises(DatabaseError, match="newer vlmsweep"):
        Store(store.path)


def test_second_supervisor_is_refused_but_readers_are_not(store: Store) -> None:
    with pytest.raises(DatabaseError, match=r"another vlmsweep .* is working"):
        Store(store.path)
    with Reader(store.path) as reader:
        assert reader.sweeps() == []
    store.close()
    Store(store.path).close()


def test_refused_file_is_unlocked(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"dear diary " * 500)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="not a database"):
            Store(path)


def test_uncreatable_folder_is_reported_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="cannot use"):
        Store(tmp_path / "file" / "x.db")


def test_every_write_is_visible_to_readers_at_once(
    store: Store, queued: Callable[..., int]
) -> None:
    queued(["m"], ["p"])
    run = store.start_run(1, None)
    other = sqlite3.connect(store.path)
    assert other.execute("SELECT state FROM jobs").fetchone() == ("running",)
    store.finish_run(run, {"outcome": "ok", "text": "t"})
    assert other.execute("SELECT outcome, text, state FROM runs, jobs").fetchone() == (
        "ok",
        "t",
        "done",
    )
    other.close()


def test_stale_run_cannot_finish_a_job_that_was_taken_over(
    store: Store, queued: Callable[..., int]
) -> None:
    queued(["m"], ["p"])
    stale, fresh = store.start_run(1, None), store.start_run(1, None)
    store.finish_run(stale, {"outcome": "ok", "text": "old"})
    assert store.connection.execute("SELECT state FROM jobs").fetchone() == ("running",)
    store.finish_run(fresh, {"outcome": "ok", "text": "new"})
    (row,) = store.db.query("SELECT text, attempt FROM results")
    assert (row["text"], row["attempt"]) == ("new", 2)


def test_equal_prompts_models_and_images_share_a_row(
    store: Store, queued: Callable[..., int], tmp_path: Path
) -> None:
    (tmp_path / "a.png").touch()
    for _ in range(2):
        queued(["m"], ["p", "q"], images=["a.png"])
    for table, count in (("prompts", 2), ("models", 1), ("images", 1), ("environments", 1)):
        assert store.db[table].count == count, table
    assert store.db["sweeps"].count == 2


def test_model_row_describes_the_files_on_disk(store: Store, queued: Callable[..., int]) -> None:
    sweep = queued(["m"], ["p"])
    worker = store.start_worker(1, Path("/log"), store.next_worker_number(sweep))
    files = {"model.safetensors": 5, "config.json": 2}
    store.set_resolved_model(worker, Fetched(path="/x", files=files, weights_bytes=5))
    store.set_resolved_model(worker, Fetched(path="/x", files=files, weights_bytes=5))
    found = list(store.db.query("SELECT * FROM models ORDER BY id"))
    assert [row["weights_bytes"] for row in found] == [None, 5]
    assert found[1]["files"] == '{"config.json":2,"model.safetensors":5}'


def test_undecodable_paths_are_stored_readably() -> None:
    assert display_path(b"a\xff\nb".decode("utf-8", "surrogateescape")) == "a\\xff\nb"


def test_run_row_is_small_and_fast(store: Store, queued: Callable[..., int]) -> None:
    """Not a timing test: counts the statements that storing a run takes."""
    queued(["m"], ["p"])
    statements: list[str] = []
    store.connection.set_trace_callback(statements.append)
    run = store.start_run(1, None)
    store.finish_run(run, {"outcome": "ok"})
    # The trace repeats trigger statements, and shows the search index's as comments.
    ours = {s for s in statements if not s.startswith(("--", "PRAGMA")) and "_fts" not in s}
    assert len(ours) <= 10, ours


def test_server_job_stores_address_and_key_variable(
    store: Store, queued: Callable[..., int]
) -> None:
    model = {"id": "q:7b", "engine": "openai", "url": "http://127.0.0.1:1/v1", "api_key_env": "K"}
    sweep = queued([], ["p"], tried=[model])
    (waiting,) = Queue(store.connection, sweep).ready(utc_now())
    assert waiting.load.model == "q:7b"
    assert (waiting.load.url, waiting.load.api_key_env) == ("http://127.0.0.1:1/v1", "K")
    assert (waiting.load.engine, waiting.load.local) == ("openai", False)


def test_allow_oversize_and_memory_limit_reach_the_worker(
    store: Store, queued: Callable[..., int]
) -> None:
    limits = {"memory_bytes": 10**9}
    models = [{"id": "./a", "allow_oversize": True}, "./b"]
    sweep = queued(["a", "b"], ["p"], tried=models, limits=limits)
    loads = [model.load for model in Queue(store.connection, sweep).ready(utc_now())]
    assert [load.allow_oversize for load in loads] == [True, False]
    assert [load.memory_bytes for load in loads] == [10**9, 10**9]


@pytest.mark.parametrize("name", ["a\nb.db", "a\x1b]0;x\x07.db", "a\udcff.db", "a\u202eb.db"])
def test_database_path_with_control_characters_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatabaseError, match="control characters"):
        Store(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    Store(tmp_path / "日本\u3000 -  'x'.db").close()

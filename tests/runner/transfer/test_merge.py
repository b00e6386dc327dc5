"""Merging: equal rows, no duplicates, own rows kept, no job started."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runner.database.merge import merge
from runner.database.merge.tables import LEFT_OUT, TABLES
from runner.database.store import Store
from runner.environments.worker_command import worker_command
from runner.supervisor.queue import Queue
from runner.system.timestamps import utc_now
from runner.transfer import ExchangeError
from tests.helpers import histories
from tests.helpers.histories import Stores


def number_of_rows(store: Store) -> dict[str, int]:
    return {table: len(found) for table, found in histories.rows(store.connection).items()}


def test_every_table_is_exported_or_excluded(stores: Stores) -> None:
    """Fails when a table is added: give it a line in runner/database/merge/tables.py."""
    there = set(histories.tables(stores("x").connection)) | set(LEFT_OUT)
    assert there == {table.name for table in TABLES} | set(LEFT_OUT)


def test_every_reference_of_the_schema_is_known(stores: Stores) -> None:
    for table in TABLES:
        found = stores("x").connection.execute(f"PRAGMA foreign_key_list({table.name})")
        real = {row[3]: row[2] for row in found if row[3] not in table.unset}
        assert real == dict(table.refs), table.name


def test_empty_database_gets_equal_rows(stores: Stores, theirs: Store) -> None:
    done = merge(stores("ours"), theirs.path)
    assert histories.rows(stores("ours").connection) == histories.rows(theirs.connection)
    assert [(one.name, one.new, one.kept, one.left) for one in done] == [
        ("one", True, {}, {}),
        ("two", True, {}, {}),
        ("three", True, {}, {}),
    ]
    assert done[0].added["jobs"] == 8
    assert done[0].added["runs"] == 8


def test_filled_database_gets_equal_rows_and_keeps_its_own(
    stores: Stores, theirs: Store, tmp_path: Path
) -> None:
    ours = stores("ours")
    for name in ("mine", "mine too"):
        histories.work(ours, histories.add_sweep(ours, tmp_path, name, ["q", "s", "t"]), 7)
    moved = ("prepared_path",)  # for an image in both, the target's value is kept
    before, other = (histories.rows(s.connection, moved) for s in (ours, theirs))
    merge(ours, theirs.path)
    after = histories.rows(ours.connection, moved)
    for table, found in after.items():
        assert set(found) == set(before[table]) | set(other[table]), table
        assert len(found) == len(set(found)), table
    assert len(after["sweeps"]) == 5
    assert ours.connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_imported_texts_are_searchable(stores: Stores, theirs: Store) -> None:
    ours = stores("ours")
    merge(ours, theirs.path)
    (found,) = ours.connection.execute(
        "SELECT count(*) FROM runs_fts WHERE runs_fts MATCH 'generated'"
    ).fetchone()
    assert found == 18
    ours.connection.execute("INSERT INTO runs_fts (runs_fts) VALUES ('integrity-check')")


def test_second_merge_adds_nothing(stores: Stores, theirs: Store) -> None:
    ours = stores("ours")
    merge(ours, theirs.path)
    before = list(ours.connection.iterdump())
    again = merge(ours, theirs.path)
    assert list(ours.connection.iterdump()) == before
    assert all(not (one.new or one.added or one.kept or one.refused) for one in again)


def test_round_trip_merge_adds_nothing(stores: Stores, theirs: Store) -> None:
    merge(stores("ours"), theirs.path)
    before = list(theirs.connection.iterdump())
    merge(theirs, stores("ours").path)
    assert list(theirs.connection.iterdump()) == before


def test_continued_sweep_adds_only_new_rows(stores: Stores, theirs: Store, tmp_path: Path) -> None:
    ours = stores("ours")
    sweep = histories.add_sweep(theirs, tmp_path, "long", ["p", "q"])
    histories.work(theirs, sweep, 3)
    first = merge(ours, theirs.path)[-1]
    assert (first.added["runs"], first.added["workers"]) == (3, 1)
    histories.work(theirs, sweep)
    second = merge(ours, theirs.path)[-1]
    assert not second.new
    new = {"workers": 2, "runs": 5, "memory_samples": 4, "checks": 5, "scores": 3}
    assert second.added == new | {"models": 1}  # the other model, as it was found
    assert histories.rows(ours.connection) == histories.rows(theirs.connection)


def test_running_runs_are_not_exported(stores: Stores, tmp_path: Path) -> None:
    ours, theirs = stores("ours"), stores("theirs")
    sweep = histories.add_sweep(theirs, tmp_path, "live", ["p"])
    histories.work(theirs, sweep, 1)
    theirs.set_sweep_state(sweep, "running")
    (job, model) = theirs.connection.execute(
        "SELECT id, sweep_model_id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1"
    ).fetchone()
    worker = histories.begin_worker(theirs, sweep, model)
    histories.answer(theirs, theirs.start_run(job, worker), job)
    theirs.start_run(job + 1, worker)
    (done,) = merge(ours, theirs.path)
    assert done.added["workers"] == done.added["runs"] == 1
    ask = "SELECT state, latest_run_id IS NULL FROM jobs ORDER BY id"
    assert ours.connection.execute(ask).fetchall() == [("done", 0)] + 3 * [("queued", 1)]
    assert ours.connection.execute("SELECT state FROM sweeps").fetchone() == ("interrupted",)
    histories.answer(theirs, job + 1, job + 1)
    theirs.update("workers", worker, {"ended_at": "2026-01-01T00:00:00.000000Z"})
    assert merge(ours, theirs.path)[0].added["runs"] == 2


def test_own_row_is_kept_when_an_attempt_conflicts(stores: Stores, theirs: Store) -> None:
    ours = stores("ours")
    merge(ours, theirs.path)
    theirs.connection.execute("UPDATE runs SET text = 'forged' WHERE id IN (2, 3)")
    before = list(ours.connection.iterdump())
    first, *others = merge(ours, theirs.path)
    assert first.kept == {"runs": 2}
    assert [one.kept for one in others] == [{}, {}]
    assert list(ours.connection.iterdump()) == before


def test_own_rows_are_kept_when_a_sweep_was_resumed_twice(
    stores: Stores, theirs: Store, tmp_path: Path
) -> None:
    ours = stores("ours")
    sweep = histories.add_sweep(theirs, tmp_path, "both", ["p"])
    histories.work(theirs, sweep, 1)
    here = merge(ours, theirs.path)[-1].id
    assert here is not None
    histories.work(ours, here, 1, "error")  # another worker with number 2, here and there
    histories.work(theirs, sweep, 3)
    before = histories.rows(ours.connection)
    done = merge(ours, theirs.path)[-1]
    assert done.kept == {"workers": 1}
    assert done.left == {"runs": 1}  # by that worker; the other model's are welcome
    new = {"workers": 1, "runs": 2, "memory_samples": 2, "checks": 2, "scores": 1}
    assert done.added == new | {"models": 1}  # the other model, as it was found
    after = histories.rows(ours.connection)
    assert set(before["runs"]) < set(after["runs"])
    assert len(after["runs"]) == len(before["runs"]) + 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sweeps SET spec = '{}' WHERE id = 1",
        "UPDATE sweep_models SET load_spec = json_set(load_spec, '$.dtype', 'float16')"
        " WHERE id = 1",
        "UPDATE jobs SET prompt_id = 2 WHERE id = 1",
        "UPDATE job_images SET image_id = 2 WHERE job_id = 1",
    ],
)
def test_different_sweep_with_the_same_uid_is_skipped(
    stores: Stores, theirs: Store, change: str
) -> None:
    ours = stores("ours")
    merge(ours, theirs.path)
    theirs.connection.execute(change)
    theirs.start_run(1, None)
    theirs.finish_run(theirs.start_run(1, None), {"outcome": "ok", "text": "new"})
    before = list(ours.connection.iterdump())
    first, *others = merge(ours, theirs.path)
    assert first.refused == f"a sweep of that uid is here with other {change.split()[1]}"
    assert first.id is None
    assert all(one.refused is None for one in others)
    assert list(ours.connection.iterdump()) == before


def test_selected_sweeps_bring_only_the_rows_they_need(stores: Stores, theirs: Store) -> None:
    ours = stores("ours")
    (uid,) = theirs.connection.execute("SELECT uid FROM sweeps WHERE name = 'three'").fetchone()
    (done,) = merge(ours, theirs.path, uids=[uid])
    assert (done.uid, done.id) == (uid, 1)
    counts = number_of_rows(ours)
    assert (counts["sweeps"], counts["prompts"], counts["images"]) == (1, 1, 2)


def test_staged_sweep_stays_staged(stores: Stores, tmp_path: Path) -> None:
    ours, staged = stores("ours"), stores("staged")
    sweep = histories.add_sweep(staged, tmp_path, "tonight", ["p"])
    staged.update("sweeps", sweep, {"priority": 3, "label": "night", "in_queue": 1})
    (done,) = merge(ours, staged.path, waiting=True)
    assert done.id is not None
    assert histories.rows(ours.connection) == histories.rows(staged.connection)
    assert len(Queue(ours.connection).ready(utc_now())) == 2


def test_import_starts_no_job(stores: Stores, tmp_path: Path) -> None:
    sweep = histories.add_sweep(stores("theirs"), tmp_path, "bait", ["p"])
    stores("theirs").update("sweeps", sweep, {"in_queue": 1})
    merge(stores("ours"), stores("theirs").path)
    assert Queue(stores("theirs").connection).ready(utc_now())
    assert not Queue(stores("ours").connection).ready(utc_now())
    found = stores("ours").connection.execute("SELECT state, in_queue FROM sweeps").fetchone()
    assert found == ("interrupted", 0)


def test_statement_count_does_not_grow_with_rows(stores: Stores, tmp_path: Path) -> None:
    """Rows never go through Python: ten jobs take as many statements as two hundred."""
    counts = []
    for repeats in (1, 50):
        theirs, ours = stores(f"theirs{repeats}"), stores(f"ours{repeats}")
        histories.add_sweep(theirs, tmp_path, "x", ["p"], repeats=repeats)
        statements: list[str] = []
        ours.connection.set_trace_callback(statements.append)
        merge(ours, theirs.path)
        ours.connection.set_trace_callback(None)
        counts.append(len(statements))
    assert counts[0] == counts[1] < 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET prompt_id = 999 WHERE id = 1",
        "UPDATE runs SET worker_id = (SELECT max(id) FROM workers) WHERE id = 1",
        "UPDATE job_images SET image_id = 999 WHERE job_id = 1",
        "UPDATE sweep_models SET fallback_of = 999 WHERE id = 1",
        "UPDATE jobs SET fallback_id = 999 WHERE id = 1",
    ],
)
def test_inconsistent_rows_change_nothing(stores: Stores, theirs: Store, change: str) -> None:
    ours = stores("ours")
    theirs.connection.execute("PRAGMA foreign_keys = OFF")
    theirs.connection.execute(change)
    before = list(ours.connection.iterdump())
    with pytest.raises(ExchangeError, match="does not hold together"):
        merge(ours, theirs.path)
    assert list(ours.connection.iterdump()) == before
    assert ours.connection.execute("PRAGMA database_list").fetchall()[0][1] == "main"


def test_database_without_history_is_refused(stores: Stores, tmp_path: Path) -> None:
    ours = stores("ours")
    with pytest.raises(ExchangeError, match="no file"):
        merge(ours, tmp_path / "gone.db")
    (tmp_path / "text.db").write_text("dear diary\n" * 100)
    with pytest.raises(ExchangeError, match="not a database"):
        merge(ours, tmp_path / "text.db")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE x (y)")
    other.close()
    with pytest.raises(ExchangeError, match="not a vlmsweep database"):
        merge(ours, tmp_path / "other.db")
    older = stores("older")
    older.connection.execute("DELETE FROM _sqlite_migrations WHERE id > 0")
    with pytest.raises(ExchangeError, match="another schema"):
        merge(ours, older.path)
    merge(ours, stores("fine").path)  # and nothing is left attached


def test_imported_rows_never_name_a_program_to_run(stores: Stores, theirs: Store) -> None:
    theirs.connection.execute("UPDATE sweep_models SET python = '/tmp/evil/bin/python'")
    ours = stores("ours")
    for _ in range(2):
        merge(ours, theirs.path)
    stored = {row[0] for row in ours.connection.execute("SELECT python FROM sweep_models")}
    assert stored == {"imported:/tmp/evil/bin/python"}
    argv, _ = worker_command(stored.pop())
    assert argv[3] == "workers.failing_worker"
    assert "the sweep was imported from" in argv[4]
    waits = stores("waits")
    merge(waits, theirs.path, waiting=True)  # as the queue imports a staged sweep
    stored = {row[0] for row in waits.connection.execute("SELECT python FROM sweep_models")}
    assert stored == {"/tmp/evil/bin/python"}

"""Reading the history: right answers, no way to write, and errors that help."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.database.query_parameters import parse_parameters
from runner.database.reader import Reader, format_status, unique_names
from runner.database.store import Store
from runner.errors import DatabaseError, QueryError
from tests.helpers.scripted_sweep import Sweeper


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    with Reader(store.path) as reader:
        yield reader


def finish(store: Store, sweep: int, outcomes: list[dict[str, object]]) -> None:
    """Gives a sweep's first jobs their outcomes."""
    jobs = store.connection.execute("SELECT id FROM jobs WHERE sweep_id = ?", [sweep]).fetchall()
    for (job,), outcome in zip(jobs, outcomes, strict=False):
        store.finish_run(store.start_run(job, None), outcome)


def test_summary_counts_outcomes(store: Store, queued: Callable[..., int], reader: Reader) -> None:
    sweep = queued(["good", "poor"], ["a", "b", "c"])
    ok, late = {"outcome": "ok", "latency_s": 2.0}, {"outcome": "timeout", "message": "too slow"}
    finish(store, sweep, [ok, ok, ok, ok, late])
    good, poor = reader.summary(sweep)
    assert good["status"] == "ok 3/3"
    assert good["latency_s"] == 2.0
    assert poor["status"] == "1 ok, 1 waiting, 1 timeout"
    assert poor["notes"] == "too slow"
    (row,) = reader.sweeps()
    assert (row["models"], row["jobs"], row["ok"], row["failed"]) == (2, 6, 4, 1)
    assert (row["waiting"], row["skipped"], row["state"]) == (1, 0, "queued")


def test_status_is_text() -> None:
    assert format_status({"ok": 12}) == "ok 12/12"
    assert format_status({"ok": 8, "timeout": 3, "skipped": 1}) == "8 ok, 3 timeout, 1 skipped"
    assert format_status({"out_of_memory": 2, None: 1}) == "2 out of memory, 1 waiting"


def test_sweep_is_found_by_number_name_and_uid(queued: Callable[..., int], reader: Reader) -> None:
    first = queued(["good"], ["a"], name="tonight")
    second = queued(["good"], ["a"], name="tonight")
    third = queued(["good"], ["a"])
    assert reader.sweep()["id"] == third
    assert reader.sweep(str(first))["id"] == first
    assert reader.sweep("tonight")["id"] == second
    uid = reader.sweep(str(third))["uid"]
    assert reader.sweep(uid)["id"] == reader.sweep(uid[:-2])["id"] == third
    with pytest.raises(QueryError, match="did you mean tonight"):
        reader.sweep("tonigth")
    with pytest.raises(QueryError, match="beginning of 3"):
        reader.sweep(uid[:8])


def test_empty_history_is_readable(reader: Reader) -> None:
    assert reader.sweeps() == []
    with pytest.raises(QueryError, match="no sweep is stored"):
        reader.sweep()


@pytest.mark.parametrize(
    ("sql", "says", "hints"),
    [
        ("select modle from results", "no column 'modle' .did you mean model", "columns of resul"),
        ("select r.modle from results r", "did you mean model", "columns of results"),
        ("select load_s from runs", "in runs, but results has one", "columns of runs"),
        ("select * from resluts", "no table 'resluts' .did you mean results", "summary, sweep"),
        ("selec 1", "syntax error at 'selec'", "an example"),
        ("select * from results where model = :m", "parameter :m", "-p m VALUE"),
        ("select 1; select 2", "one query at a time", None),
        ("select nosuch()", "no function 'nosuch'", None),
        ("", "not a query", None),
        ("select (", "incomplete input", None),
    ],
)
def test_reader_errors_have_hints(reader: Reader, sql: str, says: str, hints: str | None) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        reader.query(sql)
    assert caught.value.exit_code == 2
    if hints:
        assert hints in str(caught.value.hint)


@pytest.mark.parametrize(
    "sql",
    [
        "delete from runs",
        "insert into prompts (sha256, text, turns) values ('a', 'b', 'c')",
        "create table x (y)",
        "create temp table x (y)",
        "drop view results",
        "pragma query_only = off",
        "pragma user_version = 7",
        "pragma journal_mode = delete",
        "attach 'other.db' as other",
        "vacuum into 'copy.db'",
        "vacuum",
        "begin immediate",
        "select load_extension('x')",
    ],
)
def test_writes_are_refused(
    reader: Reader, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(QueryError):
        list(reader.query(sql).rows)
    assert sorted(tmp_path.iterdir()) == before


def test_read_only_pragmas_work(reader: Reader) -> None:
    assert len(list(reader.query("pragma table_info(runs)").rows)) > 20


def test_query_has_a_time_limit(store: Store) -> None:
    forever = "with recursive c(x) as (select 1 union all select x + 1 from c) select max(x) from c"
    with Reader(store.path, limit_s=0.05) as reader:
        with pytest.raises(QueryError, match=r"took over 0\.05 s"):
            list(reader.query(forever).rows)
        assert list(reader.query("select 1").rows) == [(1,)]


def test_parameters_become_numbers_only_without_loss(reader: Reader) -> None:
    pairs = [("a", "5"), (":b", "007"), ("c", "0.5"), ("d", "1e3"), ("e", "x"), ("f", "inf")]
    values = parse_parameters([*pairs, ("g", "9" * 30)])
    assert values == {"a": 5, "b": "007", "c": 0.5, "d": "1e3", "e": "x", "f": "inf", "g": "9" * 30}
    assert list(reader.query("select :a + :c, :b", values).rows) == [(5.5, "007")]


def test_equal_column_names_are_made_unique() -> None:
    assert unique_names(["id", "id", "id_2", "id"]) == ["id", "id_2", "id_2_2", "id_3"]


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no database at") as caught:
        Reader(tmp_path / "none.db")
    assert "vlmsweep demo" in str(caught.value.hint)
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(DatabaseError, match="cannot read"):
        Reader(tmp_path / "text.db")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("create table x (y)")
    other.close()
    with pytest.raises(DatabaseError, match="some other program"):
        Reader(tmp_path / "other.db")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.db", "text.db"]


def test_unusual_database_name_opens(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1? ünï.db"
    Store(path).close()
    with Reader(path) as reader:
        assert reader.sweeps() == []


def test_reader_works_during_a_sweep(sweep: Sweeper, store: Store) -> None:
    seen = []
    with Reader(store.path) as reader:
        done = sweep(["good"], ["a", "b"])
        seen = reader.results(reader.sweep()["id"])
    assert [row["text"] for row in seen] == [row["text"] for row in done.rows]

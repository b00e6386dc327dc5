"""The commands history, search and schema, and --parquet, as a user calls them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli import cli
from runner.database.store import Store
from schemas import rows

EVIL = "\x1b[31m red \x1b]0;title\x07 =1+1 bicycle"


@pytest.fixture
def ask(store: Store, queued: Callable[..., int], tmp_path: Path) -> Callable[..., Result]:
    """A history of two jobs, one answered by a hostile model, and a folder of the user's."""
    queued(["m"], ["a bicycle?", "b"], name="night")
    run = store.start_run(1, None)
    row: dict[str, Any] = {"outcome": "ok", "raw_text": EVIL, "text": EVIL, "latency_s": 1.25}
    store.finish_run(run, row)
    store.finish_run(store.start_run(2, None), {"outcome": "timeout", "message": "too slow"})
    (tmp_path / "mine").mkdir()

    def call(*words: str) -> Result:
        env = {"VLMSWEEP_QUERIES": str(tmp_path / "mine"), "VLMSWEEP_DB": str(store.path)}
        return CliRunner().invoke(cli, list(words), env=env)

    return call


def test_history_lists_and_explains_runs(ask: Callable[..., Result], tmp_path: Path) -> None:
    listed = ask("history").output
    assert "What failed and where" in listed
    assert str(tmp_path) not in listed
    (tmp_path / "mine" / "failures.sql").write_text("-- My own\nselect 7 as seven")
    assert str(tmp_path / "mine" / "failures.sql") in ask("history").output
    records = {row["name"]: row for row in json.loads(ask("history", "--json").output)}
    assert not records["failures"]["ours"]
    assert records["slowest"]["parameters"][1] == {
        "name": "limit",
        "default": 20,
        "required": False,
        "meaning": "how many",
    }
    assert json.loads(ask("history", "failures", "--json").output) == [{"seven": 7}]
    assert "limit       how many [50]" in ask("history", "disagreements", "-h").output
    assert "VLMSWEEP_QUERIES" in ask("history", "--help").output
    assert ask("history", "flaky", "--sql").output.startswith(
        "-- Jobs whose runs gave different results"
    )


def test_history_finds_sweeps_and_suggests_names(ask: Callable[..., Result]) -> None:
    (row,) = json.loads(ask("history", "failures", "-p", "sweep", "night", "--json").output)
    assert (row["outcome"], row["message"], row["jobs"]) == ("timeout", "too slow", 1)
    for words, says in (
        (("failures", "-p", "sweep", "nigth"), "did you mean night"),
        (("failurs",), "did you mean failures"),
        (("slowest", "-p", "limt", "1"), "did you mean limit"),
        (("slowest", "-p", "limit", "many"), "the query failed: datatype mismatch"),
    ):
        result = ask("history", *words)
        assert (result.exit_code, says in result.output) == (2, True), result.output


def test_search_highlights_matches_and_removes_control_characters(
    ask: Callable[..., Result],
) -> None:
    shown = ask("search", "bicycle").output
    assert "\x1b" not in shown
    assert "[bicycle]" in shown
    assert "prompt 1" in shown
    found = json.loads(ask("search", "RED", "bicycles", "--json").output)
    assert [(row["found_in"], row["run"]) for row in found] == [("answer", 1)]
    assert json.loads(ask("search", "bicycle", "--sweep", "night", "--json").output)
    assert ask("search", "--fts", "red AND").exit_code == 2
    assert "no word to look for" in ask("search", "!").output


def test_schema_lists_every_table_and_column(ask: Callable[..., Result]) -> None:
    shown = ask("schema").output
    for name, row in (rows.TABLES | rows.VIEWS).items():
        assert name in shown
        columns = json.loads(ask("schema", name, "--json").output)
        assert [column["column"] for column in columns] == list(row.__annotations__)
        assert all(column["meaning"] for column in columns)
    records = {
        column["column"]: column for column in json.loads(ask("schema", "runs", "--json").output)
    }
    assert records["latency_s"]["type"] == "REAL"
    assert (records["latency_s"]["null"], records["id"]["null"]) == (True, False)
    assert "raw_text without reasoning, special tokens" in ask("schema", "runs").output
    wrong = ask("schema", "run")
    assert wrong.exit_code == 2
    assert "did you mean runs" in wrong.output


def test_parquet_keeps_types_and_reports_missing_library(
    ask: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "x.parquet"
    query = "select id, text, latency_s, 9007199254740993 as big, x'00ff' as blob from runs"
    assert "2 rows written" in ask("sql", query, "--parquet", str(file)).output
    table = parquet.read_table(file)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds == {
        "id": "int64",
        "text": "string",
        "latency_s": "double",
        "big": "int64",
        "blob": "binary",
    }
    assert table.to_pylist()[0] | {"text": ""} == {
        "id": 1,
        "text": "",
        "latency_s": 1.25,
        "big": 2**53 + 1,
        "blob": b"\x00\xff",
    }
    assert "1 row written" in ask("history", "slowest", "--parquet", str(file)).output
    assert "cannot write" in ask("sql", "select 1", "--parquet", str(tmp_path / "no" / "x")).output
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = ask("sql", "select 1", "--parquet", str(file))
    assert (result.exit_code, "vlmsweep[parquet]" in result.output) == (2, True)
    assert sorted(path.name for path in tmp_path.glob("x.parquet*")) == ["x.parquet"]


def test_parquet_of_mixed_and_of_many_rows(ask: Callable[..., Result], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "x.parquet"
    query = (
        "with recursive c(n) as (select 1 union all select n + 1 from c where n < 25000)"
        " select n, case when n > 20000 then n + 0.5 else n end as later_s,"
        " case n when 24000 then 'x' else n end as mixed, null as none_there from c"
    )
    assert "25000 rows written" in ask("sql", query, "--parquet", str(file)).output
    table = parquet.read_table(file)
    assert [str(field.type) for field in table.schema] == ["int64", "double", "string", "string"]
    assert sum(table.column("n").to_pylist()) == 25000 * 25001 // 2
    assert table.column("later_s").to_pylist()[-1] == 25000.5
    assert table.column("mixed").to_pylist()[23999:] == ["x", *map(str, range(24001, 25001))]
    assert parquet.ParquetFile(file).metadata.num_row_groups == 3
    assert "0 rows written" in ask("sql", "select 1 where 0", "--parquet", str(file)).output
    assert parquet.read_table(file).num_rows == 0

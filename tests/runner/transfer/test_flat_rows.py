"""Flat rows: every run that ended, every figure, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import json
import sys
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner.cli import cli
from runner.database.store import Store
from schemas.rows import TABLES

pyarrow = pytest.importorskip("pyarrow.parquet")


def export(store: Store, *arguments: object) -> Result:
    given = [str(argument) for argument in arguments]
    return CliRunner().invoke(cli, ["export", *given, "--db", str(store.path)])


def test_each_run_is_a_row_with_all_facts(theirs: Store) -> None:
    done = export(theirs, "two")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    ask = "SELECT count(*) FROM runs JOIN jobs ON jobs.id = job_id WHERE sweep_id = 2"
    assert len(rows) == theirs.connection.execute(ask).fetchone()[0] == 8
    assert {"model", "image", "prompt", "commit_hash", "load_s", "packages"} <= set(rows[0])
    figures = set(TABLES["runs"].__annotations__) - {"id", "job_id", "worker_id"}
    assert figures <= set(rows[0])
    assert [(row["position"], row["attempt"], row["latest"]) for row in rows[:3]] == [
        (0, 1, 0),
        (0, 2, 1),
        (1, 1, 0),
    ]
    assert rows[0]["outcome"] == "timeout"
    assert rows[0]["images"][0]["name"] == rows[0]["image"] == "a.png"
    assert rows[0]["packages"] == {"torch": "2.9"}
    assert rows[0]["latency_s"] == 0.1 * 9


def test_all_formats_contain_the_same_values(theirs: Store, tmp_path: Path) -> None:
    for ending in ("jsonl", "csv", "parquet"):
        assert export(theirs, "one", "-o", tmp_path / f"x.{ending}").exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    with (tmp_path / "x.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    table = pyarrow.read_table(tmp_path / "x.parquet").to_pylist()
    assert len(lines) == len(cells) == len(table) == 8
    for line, row, record in zip(lines, cells, table, strict=True):
        assert list(line) == list(row) == list(record)
        for key in ("text", "model", "outcome", "latency_s", "attempt", "error_class", "load_s"):
            assert line[key] == record[key]
            assert row[key] == ("" if line[key] is None else str(line[key]))


def test_parquet_has_the_same_types_for_every_sweep(theirs: Store, tmp_path: Path) -> None:
    theirs.connection.execute("UPDATE runs SET latency_s = NULL, output_tokens = NULL WHERE id < 9")
    theirs.connection.execute("UPDATE runs SET output_tokens = 3 WHERE id >= 9")
    schemas = []
    for name in ("one", "two"):
        export(theirs, name, "-o", tmp_path / f"{name}.parquet")
        schemas.append(pyarrow.read_schema(tmp_path / f"{name}.parquet").remove_metadata())
    assert schemas[0] == schemas[1]


def test_spreadsheet_formulas_are_escaped(theirs: Store) -> None:
    evil = '=HYPERLINK("http://x")'
    theirs.connection.execute("UPDATE runs SET text = ? WHERE id = 1", [evil])
    found = list(csv.DictReader(StringIO(export(theirs, "one", "--format", "csv").stdout)))
    assert found[0]["text"] == "'" + evil
    assert json.loads(export(theirs, "one").stdout.splitlines()[0])["text"] == evil


def test_unusable_arguments_are_reported(
    theirs: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def error_of(*arguments: object) -> str:
        done = export(theirs, *arguments)
        assert done.exit_code == 2
        return done.stderr

    assert "no sweep is called 'thre' (did you mean three?)" in error_of("thre")
    assert "Parquet is for files" in error_of("--format", "parquet")
    assert "--no-images applies to bundles only" in error_of("--no-images")
    assert "is a folder" in error_of("-o", tmp_path)
    assert "cannot write" in error_of("-o", tmp_path / "no" / "such.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'vlmsweep[parquet]'" in error_of("-o", tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()
    assert [path for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []

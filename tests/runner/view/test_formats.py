"""Formats: machines get back every value, people get units, nobody gets run or steered."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from typing import Any

import pytest

from runner.text import sanitize, units
from runner.view.formats import as_json, write_grid
from runner.view.grid import Column, Grid, grid
from runner.view.table_renderer import truncate_middle

EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202eorder\u2066 [bold]markup[/] \r gone"
ROWS: list[dict[str, Any]] = [
    {"model": "a,b\t\"c\"\n'd'", "load_s": 1.23456789012345, "peak_bytes": 1300000000, "n": None},
    {"model": EVIL, "load_s": 0.1 + 0.2, "peak_bytes": 0, "n": -5},
]
COLUMNS = [
    Column("model", "Model"),
    Column("load_s", "Load time", "seconds"),
    Column("peak_bytes", "Peak memory", "bytes"),
]


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def written(what: Grid, format: Any, stream: io.StringIO | None = None) -> str:
    out = stream or io.StringIO()
    write_grid(what, format, out)
    return out.getvalue()


def test_json_and_lines_round_trip_every_digit() -> None:
    assert json.loads(written(grid(ROWS, COLUMNS), "json")) == ROWS
    lines = written(grid(ROWS, COLUMNS), "nl").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert json.loads(written(grid([], COLUMNS), "json")) == []


def test_json_is_ascii_without_control_characters() -> None:
    text = written(grid(ROWS, COLUMNS), "json")
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


def test_values_outside_json_are_converted() -> None:
    value = {"inf": float("inf"), "nan": [float("nan")], "blob": b"\x00\xff"}
    read = json.loads(as_json(value))
    assert (read["inf"], read["nan"]) == (None, [None])
    assert base64.b64decode(read["blob"]["encoded"]) == b"\x00\xff"


@pytest.mark.parametrize(("format", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_csv_round_trips(format: str, delimiter: str) -> None:
    text = written(grid(ROWS, COLUMNS), format)
    read = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert [row["model"] for row in read] == [row["model"] for row in ROWS]
    assert [float(row["load_s"]) for row in read] == [row["load_s"] for row in ROWS]
    assert [row["n"] for row in read] == ["", "-5"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_formulas_are_escaped(start: str) -> None:
    text = written(Grid(["a", "b"], [[f"{start}cmd|'/c calc'!A1", -1.5]], []), "csv")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[1] == [f"'{start}cmd|'/c calc'!A1", "-1.5"]


def test_csv_on_a_terminal_has_no_control_characters() -> None:
    shown = written(grid(ROWS, COLUMNS), "csv", Screen())
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_tables_show_units_and_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    for stream in (io.StringIO(), Screen()):
        shown = written(grid(ROWS, COLUMNS), "table", stream)
        assert "1.23 s" in shown
        assert "1.3 GB" in shown
        assert "[bold]markup[/]" in shown
        assert not sanitize.UNSAFE.search(shown.replace("\x1b[1m", "").replace("\x1b[0m", ""))


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    notes = Column("notes", "Notes", least=20, aside=True)
    rows = [{**ROWS[0], "model": "org/" + "very-long-name" * 4, "notes": "because " * 20}]
    shown = written(grid(rows, [*COLUMNS, notes]), "table", Screen())
    assert max(map(len, re.sub("\x1b\\[\\d*m", "", shown).splitlines())) <= width
    assert "1.3 GB" in shown
    assert "because" in shown


def test_piped_table_is_not_truncated() -> None:
    rows = [{"model": "x" * 500, "load_s": 1, "peak_bytes": 1}]
    assert "x" * 500 in written(grid(rows, COLUMNS), "table")


def test_optional_columns_appear_when_filled() -> None:
    columns = [Column("a", "A"), Column("b", "B", optional=True)]
    assert "B" not in written(grid([{"a": 1, "b": None}], columns), "table")
    assert "B" in written(grid([{"a": 1, "b": 2}], columns), "table")


def on_screen(rows: list[dict[str, Any]], columns: list[Column], width: int) -> list[str]:
    """A table's lines on a terminal, without their styles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_COLOR", "1")
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", str(width))
        shown = written(grid(rows, columns), "table", Screen())
    return [line.rstrip() for line in re.sub("\x1b\\[\\d*m", "", shown).splitlines()]


def test_wide_columns_move_below_only_when_the_table_is_too_narrow() -> None:
    columns = [
        Column("m", "Model"),
        Column("status", "Status", least=9),
        Column("tps", "Speed", "rate", below=True),
        Column("rate", "Success", "share", below=True),
        Column("notes", "Notes", least=12, aside=True),
    ]
    row = {"status": "ok 11/12", "tps": 12.5, "rate": 11 / 12, "notes": "cut off, it seems"}
    rows = [{"m": "one", **row}, {"m": "two", **row}]
    assert on_screen(rows, columns, 40) == [
        "Model  Status    Speed  Success",
        "one    ok 11/12   12.5    91.7%",
        "two    ok 11/12   12.5    91.7%",
        "",
        "one, two: cut off, it seems",
    ]
    assert on_screen(rows, columns, 24) == [
        "Model  Status",
        "one    ok 11/12",
        "two    ok 11/12",
        "",
        "Model  Speed  Success",
        "one     12.5    91.7%",
        "two     12.5    91.7%",
        "",
        "one, two: cut off, it",
        "seems",
    ]


def test_control_characters_are_removed() -> None:
    assert sanitize.strip_control_characters("a\x1b[2Jb\x00\x85\u2028\ud800c\td\ne\r\nf") == (
        "a\ufffd[2Jb\ufffd\ufffd\ufffd\ufffdc\td\ne\nf"
    )
    assert sanitize.strip_control_characters("Käse 世界 🙂 👩‍👩‍👧") == "Käse 世界 🙂 👩‍👩‍👧"
    assert sanitize.one_line("a\n\n b\tc") == "a b c"
    assert sanitize.truncate("abcdef", 4) == "abc…"
    assert truncate_middle("HuggingFaceTB/SmolVLM2-500M-Instruct", 16) == "Huggi…M-Instruct"


def test_numbers_are_rounded_for_display() -> None:
    seconds = {0: "0.00 s", 0.0004: "0.4 ms", 0.0123: "12 ms", 1.236: "1.24 s", 9.996: "10.0 s"}
    seconds |= {12.34: "12.3 s", 99.96: "100 s", 599.6: "10 min 0 s", 12240: "3 h 24 min"}
    assert {value: units.seconds(value) for value in seconds} == seconds
    sizes = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_950: "1.0 MB", 1_300_000_000: "1.3 GB"}
    assert {value: units.size(value) for value in sizes} == sizes
    assert [units.rate(12.34), units.rate(123.4)] == ["12.3", "123"]
    shares = {0: "0%", 0.0001: "0.1%", 2 / 3: "66.7%", 0.9999: "99.9%", 1: "100%"}
    assert {value: units.share(value) for value in shares} == shares
    assert [units.clock(7.4), units.clock(724), units.clock(12299)] == ["0:07", "12:04", "3:24:59"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * 10**9), ("512 MiB", 512 << 20), ("1.5g", 1_500_000_000), ("7", 7), ("7b", 7)],
)
def test_human_readable_sizes_are_parsed(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "8 X", "1e3", "nan"])
def test_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        units.parse_size(text)


def test_dumb_terminal_width_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "60")
    columns = [Column(key, key.title(), least=8) for key in ("said", "also")]
    shown = written(Grid(["said", "also"], [["x" * 40, "y" * 40]], columns), "table", Screen())
    assert max(len(line) for line in shown.splitlines()) == 60


def test_note_lists_each_name_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "28")
    columns = [Column("who", "Who"), Column("why", "Why", least=30, aside=True)]
    why = "torch, transformers missing"
    rows = [["a", why], ["a", why], ["b", why]]
    shown = written(Grid(["who", "why"], rows, columns), "table", Screen())
    assert "\na, b: torch, transformers" in shown


def test_singular_and_plural_forms() -> None:
    assert [units.pluralize(count, "job") for count in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]

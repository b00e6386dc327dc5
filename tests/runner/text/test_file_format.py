from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.errors import VlmsweepError
from runner.report.write import SUFFIXES as REPORT
from runner.text.file_format import format_from_name
from runner.transfer.flat_rows import SUFFIXES as ROWS


@pytest.mark.parametrize(
    ("name", "formats", "expected"),
    [
        ("a.CSV", ROWS, "csv"),
        ("a.parquet", ROWS, "parquet"),
        ("a.zip", ROWS, "bundle"),
        ("a.ndjson", ROWS, "jsonl"),
        ("a", ROWS, "default"),
        ("-", ROWS, "default"),
        (None, ROWS, "default"),
        ("a.htm", REPORT, "html"),
        ("a.markdown", REPORT, "md"),
    ],
)
def test_suffix_names_the_format(name: str | None, formats: dict[str, str], expected: str) -> None:
    assert format_from_name(Path(name) if name else None, formats, "default") == expected


@pytest.mark.parametrize("name", ["a.xlsx", "a.pdf", "a.docx", "a.tsv", "a.csv.gz"])
def test_suffix_of_an_unwritten_format_is_refused(name: str) -> None:
    with pytest.raises(VlmsweepError) as caught:
        format_from_name(Path(name), ROWS, "jsonl")
    assert Path(name).suffix in caught.value.message
    assert ".parquet" in (caught.value.hint or "")


@pytest.mark.parametrize("words", [("export", "x.xlsx"), ("report", "x.pdf")])
def test_command_writes_nothing_under_a_wrong_suffix(
    words: tuple[str, str], tmp_path: Path, store
) -> None:
    command, name = words
    argv = [command, "-o", str(tmp_path / name), "--db", str(store.path)]
    result = CliRunner().invoke(cli, argv)
    assert result.exit_code == 2
    assert "files are not written" in result.output
    assert not (tmp_path / name).exists()

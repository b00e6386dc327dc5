"""Tests of the word check: reported wordings and names, accepted lines, arguments."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import check_words  # noqa: E402

# The wordings below are rejected on purpose; they are put together so that this file passes.
PICTURE = "pic" + "ture"
COLUMN = "way" + "_id"
MODULE = "runner.inter" + "preters.shelf"


def run(root: Path, *arguments: str) -> int:
    return check_words.main(["--root", str(root), *arguments])


def write(root: Path, file: str, text: str) -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_clean_code_and_docs_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "runner/a.py", '"""Reads an image."""\n')
    write(tmp_path, "README.md", "An image.\n")
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("runner/a.py", f'"""Reads a {PICTURE}."""\n', 1),
        ("runner/a.py", f'def f():\n    raise ValueError("no {PICTURE} given")\n', 2),
        ("runner/a.py", f"x = 1\n# Reads a {PICTURE}.\n", 2),
        ("README.md", f"Reads\n\na {PICTURE}.\n", 3),
        ("docs/a.md", f"Reads a {PICTURE}.\n", 1),
    ],
)
def test_rejected_wording_is_reported_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, line: int
) -> None:
    write(tmp_path, file, text)
    assert run(tmp_path) == 1
    assert f'{file}:{line}: "{PICTURE}" -> image' in capsys.readouterr().out


def test_wording_across_a_line_break_is_found(tmp_path: Path) -> None:
    write(tmp_path, "docs/a.md", "The database is held\nagainst the other.\n")  # words: ok
    assert run(tmp_path) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("docs/a.md", f"```\n{PICTURE}\n```\n`{PICTURE}`\n"),
        ("docs/a.md", f"A {PICTURE}. <!-- words: ok -->\n"),
        ("runner/a.py", f'"""Reads a {PICTURE}."""  # words: ok\n'),
        ("runner/a.py", f'key = "{PICTURE}"\n'),
        ("tests/a.py", f'assert text == "a {PICTURE}"\n'),
        ("CHANGELOG.md", f"# Changelog\n\n## 0.2.0\n\nImages.\n\n## 0.1.0\n\nA {PICTURE}.\n"),
    ],
    ids=["code", "marked", "marked string", "key", "data of a test", "old changelog section"],
)
def test_code_data_and_accepted_lines_are_skipped(tmp_path: Path, file: str, text: str) -> None:
    write(tmp_path, file, text)
    assert run(tmp_path) == 0


@pytest.mark.parametrize(
    "text",
    [
        f"import {MODULE}\n",
        f"from {MODULE.rpartition('.')[0]} import shelf\n",
        "class Attendant: pass\n",
        "from elsewhere import Attendant\n",
        "elsewhere.Attendant()\n",
        f'key = "{COLUMN}"\n',
    ],
)
def test_private_names_are_reported(tmp_path: Path, text: str) -> None:
    write(tmp_path, "runner/a.py", text)
    assert run(tmp_path, "--names") == 1
    assert run(tmp_path, "--prose") == 0


def test_private_column_in_a_query_file_is_reported(tmp_path: Path) -> None:
    write(tmp_path, "runner/queries/a.sql", f"-- A query\nSELECT {COLUMN} FROM runs\n")
    assert run(tmp_path) == 1


def test_only_the_named_files_are_read(tmp_path: Path) -> None:
    wrong = write(tmp_path, "runner/a.py", f'"""Reads a {PICTURE}."""\n')
    right = write(tmp_path, "runner/b.py", '"""Reads an image."""\n')
    assert run(tmp_path, str(right)) == 0
    assert run(tmp_path, str(wrong)) == 1


def test_count_prints_a_number_per_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "docs/a.md", f"A {PICTURE}.\n\nA {PICTURE}.\n")
    assert run(tmp_path, "--count") == 1
    assert capsys.readouterr().out.split() == ["2", "docs/a.md"]


def test_word_list_with_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    bad = write(tmp_path, "names.txt", "verb\tattend\tcontrol\n")
    with pytest.raises(ValueError, match="unknown kind 'verb'"):
        check_words.load_names(bad)


def test_folder_is_read_recursively(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runner" / "sub").mkdir(parents=True)
    (tmp_path / "runner" / "sub" / "mod.py").write_text(f'"""A {PICTURE}."""\n')
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "mod.py").write_text(f'"""A {PICTURE}."""\n')
    assert run(tmp_path, str(tmp_path / "runner")) == 1
    assert capsys.readouterr().out == f'runner/sub/mod.py:1: "{PICTURE}" -> image\n'

"""Every test that docs/trust.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

TEXT = (ROOT / "docs" / "trust.md").read_text()
SECTIONS = {
    part.partition("\n")[0]: part for part in TEXT.split("\n## ") if "| test | removed |" in part
}
TEST_COLUMN = 4


def default_files(section: str) -> dict[str, Path]:
    """Returns the file or folder of each letter; "" is for names without a letter."""
    introduction = section.partition("*Test* is in ")[2].partition("\n\n")[0]
    named = re.findall(r"(?:with\s+(\w)\s+in\s+)?`(tests/[\w/]+(?:\.py|/))`", introduction)
    return {letter: ROOT / path for letter, path in named}


def names_in(path: Path) -> set[str]:
    files = [path] if path.is_file() else path.rglob("test_*.py")
    return {name for file in files for name in re.findall(r"def test_(\w+)\(", file.read_text())}


@pytest.mark.parametrize("title", SECTIONS)
def test_every_test_named_in_a_fault_table_exists(title: str) -> None:
    section = SECTIONS[title]
    names = {letter: names_in(path) for letter, path in default_files(section).items()}
    cells = [row.split("|")[TEST_COLUMN] for row in re.findall(r"^\| .*", section, re.MULTILINE)]
    named = re.findall(r"(?:\b([A-Z]) )?`([a-z]\w+)`", "\n".join(cells))
    missing = [(letter, name) for letter, name in named if name not in names.get(letter, ())]
    assert len(named) >= len(cells) // 2
    assert not missing


def test_every_file_named_in_the_fault_tables_exists() -> None:
    assert not [path for path in re.findall(r"`([\w/]+\.py)\b", TEXT) if not (ROOT / path).exists()]

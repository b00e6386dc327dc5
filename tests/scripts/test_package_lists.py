"""The checks of the code read every package of the wheel."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.docs.test_docs import TOP_LEVEL

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import check_words  # noqa: E402
import import_cycles  # noqa: E402

TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
PACKAGES = set(TOOLS["hatch"]["build"]["targets"]["wheel"]["packages"])


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(check_words.PACKAGES, id="check_words"),
        pytest.param(import_cycles.PACKAGES, id="import_cycles"),
        pytest.param(TOP_LEVEL, id="test_docs"),
        pytest.param(TOOLS["mypy"]["packages"], id="mypy"),
        pytest.param(TOOLS["importlinter"]["root_packages"], id="import-linter"),
    ],
)
def test_every_package_of_the_wheel_is_checked(listed: Sequence[str]) -> None:
    assert set(listed) >= PACKAGES


def test_every_package_of_the_checkout_is_in_the_wheel() -> None:
    found = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert found - {"tests"} == PACKAGES

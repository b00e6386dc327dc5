"""The registry of engines: its facts lead somewhere, and nothing else lists or compares engines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from pkgutil import resolve_name

import pytest
from pydantic import ValidationError

from schemas import engines as registry
from schemas.commands import Load
from schemas.engines import BUILT_IN, EngineInfo, check_engine, engine_choices, is_remote
from schemas.sweep import Model
from tests.helpers.paths import ROOT
from workers.checkpoint import Checkpoint
from workers.engine import choose_engine, make_engine, missing_packages
from workers.families import find_family

MINE = EngineInfo(
    name="mine",
    implementation="tests.schemas.test_engines:MyEngine",
    packages=("json", "no_such_package"),
    libraries=("no-such-package",),
    weights_format="mine",
    tracker="https://example.org/mine/issues/new",
)


class MyEngine:
    """The engine of another package."""


@pytest.fixture(autouse=True)
def _fresh_registry() -> Iterator[None]:
    registry.engines.cache_clear()
    yield
    registry.engines.cache_clear()


def add_entry_point(monkeypatch: pytest.MonkeyPatch, info: object) -> None:
    point = EntryPoint("mine", "somewhere:INFO", registry.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: info)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])


@pytest.mark.parametrize("info", BUILT_IN, ids=lambda info: info.name)
def test_every_built_in_engine_has_its_declared_modules(info: EngineInfo) -> None:
    module, _, name = info.implementation.partition(":")
    package = ROOT.joinpath(*module.split("."))
    assert re.search(rf"\b{name}\b", (package / "__init__.py").read_text())
    assert info.reproduction is not None
    assert callable(resolve_name(info.reproduction))
    assert info.remote or (info.packages and info.libraries and info.extra and info.tracker)
    extras = (ROOT / "pyproject.toml").read_text()
    assert info.extra is None or f"\n{info.extra} = [" in extras
    assert info.name not in (registry.AUTO, "")


def test_engine_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "mine" not in engine_choices()
    registry.engines.cache_clear()
    add_entry_point(monkeypatch, MINE)
    assert engine_choices()[-1] == "mine"
    assert Model(id="a/b", engine="mine").engine == "mine"
    assert missing_packages("mine") == ["no_such_package"]
    stored = Checkpoint(folder=Path(), config={}, weights_format="mine")
    assert choose_engine(stored, find_family({}), Load(model="a/b", local=False)) == "mine"
    registry.engines.cache_clear()
    add_entry_point(monkeypatch, EngineInfo(name="mine", implementation=MINE.implementation))
    assert isinstance(make_engine("mine"), MyEngine)


def test_entry_point_that_is_not_an_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    add_entry_point(monkeypatch, "mine")
    with pytest.raises(TypeError, match="EngineInfo"):
        registry.engines()
    add_entry_point(monkeypatch, EngineInfo(name="openai", implementation="a:b"))
    with pytest.raises(ValueError, match="taken"):
        registry.engines()


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ValidationError, match="'auto', 'transformers', 'mlx' or 'openai'"):
        Model(id="a/b", engine="onnx")
    with pytest.raises(ValueError, match="Input should be"):
        check_engine("onnx")
    assert not is_remote("onnx")
    assert not is_remote(None)
    assert is_remote("openai")


def test_no_engine_is_compared_by_name_elsewhere() -> None:
    names = "|".join(info.name for info in BUILT_IN)
    compared = re.compile(
        rf"""(?:[=!]=|\bin\b)\s*\(?["'](?:{names})["']|["'](?:{names})["']\s*[=!]="""
    )
    listed = re.compile(rf"""["'](?:{names})["']\s*[,:][^\n]*["'](?:{names})["']""")
    for package in ("runner", "schemas", "workers"):
        for file in (ROOT / package).rglob("*.py"):
            parts = file.relative_to(ROOT).parts
            if parts[:2] in (("workers", "families"), ("workers", "engines")):
                continue
            for number, line in enumerate(file.read_text().splitlines(), start=1):
                where = f"{file}:{number}: {line}"
                if '"mlx" in formats' not in line:  # the format of weights
                    assert not compared.search(line), where
                assert not listed.search(line) or parts == ("schemas", "engines.py"), where

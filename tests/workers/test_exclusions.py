"""Exclusion rules concern the versions and images they name, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.commands import Turn
from schemas.events import Loaded
from schemas.family import Exclusion, Family
from workers.error_classes import WorkerFailure
from workers.exclusions import refuse_excluded, version_below

RULE = Exclusion(engine="mlx", package="lib", below="0.1.27", images="square", reason="it fails")
FAMILY = Family(name="f", title="F", exclusions=(RULE,))


def refuse(version: str, path: str, engine: str = "mlx", family: Family = FAMILY) -> str | None:
    facts: dict[str, Any] = {"family": "f", "model_class": "M", "device": "cpu", "load_s": 1.0}
    loaded = Loaded(
        engine=engine, dtype="float32", dtype_reason="", versions={"lib": version}, **facts
    )
    turns = (Turn(text="?", images=(path,) if path else ()),)
    try:
        refuse_excluded(family, loaded, turns)
    except WorkerFailure as failure:
        return f"{failure.error_class}: {failure.message}"
    return None


def test_exclusion_skips_matching_jobs_with_a_reason(images: dict[str, str]) -> None:
    output = refuse("0.1.26", images["square"])
    assert output is not None
    assert output.startswith("excluded: ")
    assert "it fails" in output
    assert "lib below 0.1.27 (here 0.1.26)" in output


def test_exclusion_does_not_match_other_versions_images_or_engines(images: dict[str, str]) -> None:
    assert refuse("0.1.27", images["square"]) is None
    assert refuse("0.7.10", images["square"]) is None
    assert refuse("0.1.26", images["wide"]) is None
    assert refuse("0.1.26", "") is None
    assert refuse("0.1.26", images["square"], engine="transformers") is None
    assert refuse("0.1.26", images["square"], family=Family(name="g", title="G")) is None


@pytest.mark.parametrize(
    ("version", "bound", "is_older"),
    [
        ("0.1.9", "0.1.27", True),
        ("0.1.27", "0.1.27", False),
        ("0.1.27rc1", "0.1.27", False),
        ("0.1", "0.1.1", True),
        ("1.0", "0.9.9", False),
    ],
)
def test_versions_are_compared_numerically(version: str, bound: str, is_older: bool) -> None:
    assert version_below(version, bound) is is_older

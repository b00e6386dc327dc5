"""What the documents say is held against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from runner.planning import sweepfile
from schemas.sweep import Limits, Model, Prompt, Sweep

ROOT = Path(__file__).resolve().parents[1]
SWEEP_FILE = (ROOT / "docs" / "sweep-file.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", SWEEP_FILE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_sweep_file_are_sweeps(example: str) -> None:
    sweepfile.check(yaml.safe_load(example), "docs/sweep-file.md")


@pytest.mark.parametrize("part", [Sweep, Model, Prompt, Limits])
def test_every_key_of_a_sweep_file_is_shown(part: type) -> None:
    missing = [key for key in part.model_fields if not re.search(rf"\b{key}:", EXAMPLES[1])]
    assert not missing


def test_the_defaults_shown_are_the_defaults() -> None:
    shown = yaml.safe_load(EXAMPLES[1])["limits"]
    shown.pop("memory_bytes")
    assert shown == Limits().model_dump(exclude={"memory_bytes"})
    assert yaml.safe_load(EXAMPLES[1])["generation"] == {
        "max_new_tokens": 100,
        "do_sample": False,
    }

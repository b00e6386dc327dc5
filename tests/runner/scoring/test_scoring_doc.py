"""docs/scoring.md: every worked example equals the result of the code."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from pathlib import Path

import pytest
import yaml

from runner.planning import sweepfile
from runner.scoring.confidence import interval
from runner.scoring.metrics import known_metrics, score_answer, vqa
from runner.scoring.normalize import normalize_vqa
from runner.scoring.reference_file import read
from runner.scoring.repetition import repetition
from tests.helpers.paths import ROOT

DOC = (ROOT / "docs" / "scoring.md").read_text()


def table(*names: str) -> list[list[str]]:
    """The rows of the table with that head."""
    head = "| " + " | ".join(names) + " |\n"
    body = DOC.split(head)[1].split("\n\n")[0].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body]
    assert rows
    return rows


@pytest.mark.parametrize(("text", "share"), table("text", "repetition"))
def test_documented_repetition_matches_the_code(text: str, share: str) -> None:
    assert repetition(text) == pytest.approx(float(share), abs=0.005)


@pytest.mark.parametrize("row", table("text", "reference", "exact", "contains", "anls"))
def test_documented_metrics_match_the_code(row: list[str]) -> None:
    text, accepted, *values = row
    scores = score_answer(text, accepted.split("; "), ["exact", "contains", "anls"])
    assert [one.value for one in scores] == [pytest.approx(float(v), abs=0.005) for v in values]


def test_every_metric_is_documented() -> None:
    assert [row[0].strip("`") for row in table("metric", "0 to 1")] == list(known_metrics())


@pytest.mark.parametrize(("answer", "normal"), table("answer", "normalised"))
def test_documented_normalisation_matches_the_code(answer: str, normal: str) -> None:
    assert normalize_vqa(answer) == normal


def test_documented_vqa_accuracy_matches_the_code() -> None:
    head, scores = DOC.split("| people |")[1].split("\n\n")[0].split("| score |")
    people = [int(n) for n in re.findall(r"\d+", head)]
    for same, value in zip(people, re.findall(r"[\d.]+", scores), strict=True):
        given = ["yes"] * same + ["no"] * (10 - same)
        assert vqa.accuracy("Yes.", given) == pytest.approx(float(value))


@pytest.mark.parametrize("row", table("right", "of", "from", "to"))
def test_documented_intervals_match_the_code(row: list[str]) -> None:
    right, of, low, high = map(float, row)
    found = interval(right / of, int(of))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.00005)


def test_documented_answer_formats_are_equivalent(tmp_path: Path) -> None:
    sheet = re.search(r"```csv\n(.*?)```", DOC, re.DOTALL)
    lines, whole = re.findall(r"```json\n(.*?)```", DOC, re.DOTALL)
    assert sheet
    forms = {"a.csv": sheet[1], "a.jsonl": lines, "a.json": whole}
    found = []
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        texts: dict[tuple[object, object], set[str]] = {}
        for one in read(tmp_path / name):
            texts.setdefault((one.images, one.prompt), set()).update(one.accepted)
        found.append(texts)
    assert found[0] == found[2]
    assert found[1].items() <= found[0].items()
    assert len(list(csv.reader(StringIO(sheet[1])))) == 5
    assert json.loads(whole)["bicycle.jpg"]["colour"] == ["red", "dark red"]


def test_documented_sweep_file_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    assert sweepfile.validate(yaml.safe_load(example), "docs/scoring.md").scoring

"""The demo: the embedded model answers questions about packaged images, and is scored.

It is an ordinary sweep; only the questions, the images and the reference answers are fixed, here
and in `images/manifest.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import VlmsweepError
from ..planning import expand, family_info, sweepfile
from ..planning.plan import Plan

QUESTIONS = (
    "Describe this image.",
    "How many shapes are there?",
    "What is the background colour?",
)
# Relative to this package, because the working folder may have a folder `images`, too.
MANIFEST = "manifest.json"
IMAGES = Path(__file__).resolve().parents[2] / "images"


class DemoError(VlmsweepError):
    """The demo's files are missing: the installation is broken."""

    exit_code = 70


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """One answer compared with its reference. `right` is None without a reference answer."""

    image: str
    question: str
    answer: str | None
    expected: list[str]
    right: bool | None


class NotReadyError(VlmsweepError):
    """A package that the demo's model needs is not installed."""


def expected_answers(folder: Path = IMAGES) -> dict[str, dict[str, list[str]]]:
    """Return the accepted answers by image and question. Raises DemoError."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {row["file"]: row["answers"] for row in manifest["images"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DemoError(f"the demo's images are not installed: {error}") from error


def check_packages() -> None:
    """Raises NotReadyError, before 24 jobs fail for the same reason."""
    missing = family_info.check_model(expand.DEMO)["missing_packages"]
    if missing:
        raise NotReadyError(
            f"the demo needs {', '.join(missing)}, which vlmsweep's environment does not have",
            hint="pip install 'vlmsweep[transformers]', or scripts/demo in a clone",
        )


def plan(folder: Path = IMAGES) -> Plan:
    """Return the demo's plan. Raises DemoError when its model is not installed."""
    if not (expand.demo_model() / "config.json").is_file():
        raise DemoError(f"the demo's model is not installed: {expand.demo_model()} is empty")
    data = {
        "name": "demo",
        "models": [expand.DEMO],
        "images": list(expected_answers(folder)),
        "prompts": list(QUESTIONS),
        "answers": MANIFEST,
    }
    return expand.expand_sweep(sweepfile.validate(data, "demo"), folder, "demo")


def check_answers(rows: Iterable[Mapping[str, Any]]) -> list[CheckedAnswer]:
    """Compare the demo's rows of `scored` with their reference answers."""
    out = []
    for row in rows:
        accepted = json.loads(row["reference_answers"] or "[]")
        right = json.loads(row["scores"] or "{}").get("exact") == 1 if accepted else None
        out.append(CheckedAnswer(row["image"], row["prompt"], row["text"], accepted, right))
    return out


@dataclass(frozen=True, slots=True)
class Score:
    """The number of right answers, and of answers with a reference."""

    right: int
    asked: int


def score(checked: Iterable[CheckedAnswer]) -> Score:
    """Return the demo's score."""
    results = [row.right for row in checked if row.right is not None]
    return Score(sum(results), len(results))


def score_events(checked: list[CheckedAnswer]) -> Iterator[dict[str, Any]]:
    """Yield the scores as events that follow a sweep's event stream."""
    for row in checked:
        yield {"event": "answer_scored", **asdict(row)}
    yield {"event": "demo_scored", **asdict(score(checked))}

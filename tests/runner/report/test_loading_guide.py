"""The model loading reference contains the measured values, and its code repeats the load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from runner.cli import cli
from runner.planning import family_info
from runner.report import loading_guide
from runner.report.data import ReportData
from runner.text.load_code import quoted
from runner.text.sanitize import UNSAFE
from tests.helpers.hostile_text import LIAR, SCRIPT


@pytest.fixture(scope="module")
def known() -> list[dict[str, object]]:
    """The families, described once."""
    found: list[dict[str, object]] = family_info.run_describe()["families"]
    return found


@pytest.fixture
def entries(facts: ReportData, known: list[dict[str, object]]) -> list[loading_guide.GuideEntry]:
    return loading_guide.entries(facts, known)


def test_guide_shows_how_each_model_was_loaded(entries: list[loading_guide.GuideEntry]) -> None:
    demo, liar, second = entries
    changed = dict(demo.facts)
    assert changed["Class"] == "Idefics3ForConditionalGeneration"
    assert changed["Numbers"].startswith("float32 (auto: exact on a CPU")
    assert "Pickled weights" not in changed
    assert "<|im_start|>" in changed["Prompt format"]
    assert {"Engine", "Processor class", "Load time", "Peak memory", "Image form"} <= set(changed)
    assert liar.no_code == "engine fake has its own interface"
    assert second.model == "second way"


def test_guide_shows_failures_and_the_fallback_that_worked(
    entries: list[loading_guide.GuideEntry],
) -> None:
    first, then = entries[2].variants
    assert "error-in-load: 4 jobs ended in error: num2words is missing (pip install it)" in first
    assert then.startswith("Fallback: ")
    assert "good: loaded in 0.25 s; " in then
    assert "1 job ended in timeout" in then


def test_guide_markdown_escapes_text(
    facts: ReportData, entries: list[loading_guide.GuideEntry]
) -> None:
    text = loading_guide.guide_markdown(facts, entries)
    assert not UNSAFE.search(text)
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert text.count("```") == 2


@pytest.mark.model
def test_guide_code_reproduces_the_stored_answer(
    facts: ReportData, entries: list[loading_guide.GuideEntry], tmp_path: Path
) -> None:
    (card,) = (c for c in facts.cards if c.images and "circle" in c.images[0]["name"])
    (answer,) = (a for a in card.questions[0].answers if a.model == 1)
    assert card.questions[0].prompt["text"] == SCRIPT
    code = (entries[0].code or "").replace('"image.jpg"', repr(card.images[0]["prepared_path"]))
    file = tmp_path / "load.py"
    file.write_text(code)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True)
    assert " ".join(done.stdout.split()) == answer.row["text"]


@pytest.mark.parametrize("text", ['a "b"', "c:\\d", "line\nbreak", "\u202eevil", "```", LIAR])
def test_text_in_the_code_is_unchanged(text: str) -> None:
    written = quoted(text)
    assert ast.literal_eval(written) == text
    assert written.isprintable()
    assert not UNSAFE.search(written)


def test_loading_guide_command(database: Path) -> None:
    def run(*more: str) -> str:
        done = CliRunner().invoke(cli, ["show", "--guide", "--db", str(database), *more])
        assert done.exit_code == (2 if "--csv" in more else 0), done.output
        return done.output

    assert run().startswith("# Model loading reference\n")
    (demo, *_) = json.loads(run("--json"))
    assert demo["facts"]["Device"] == "cpu"
    assert len(run("--nl").splitlines()) == 3
    assert "--md, --json or --nl" in run("--csv")

"""Reports contain the stored values."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.database.reader import Reader
from runner.database.store import Store
from runner.report import page, plots, scatter, scores, summary, timeline
from runner.report.data import ReportData
from runner.report.load import load_report, log_tail
from runner.report.markdown import render_markdown
from runner.text.sanitize import UNSAFE
from runner.view import tables
from runner.view.formats import write_grid
from schemas.states import Outcome, Phase
from tests.helpers.hostile_text import ESCAPES, SCRIPT


def test_every_job_is_reported_once(facts: ReportData, reader: Reader) -> None:
    rows = reader.results(facts.sweep["id"])
    all_answers = [a for card in facts.cards for q in card.questions for a in q.answers]
    assert sum(answer.times for answer in all_answers) == len(rows) == 24
    assert Counter(answer.outcome for answer in all_answers) == Counter(
        row["outcome"] for row in rows
    )
    assert [card.images[0]["name"] for card in facts.cards if card.images] == sorted(
        {row["image"] for row in rows if row["image"]}
    )


def test_answers_are_shown_with_their_models(facts: ReportData) -> None:
    (card,) = (c for c in facts.cards if c.images and "circle" in c.images[0]["name"])
    texts = {q.prompt["text"]: [a.row["text"] for a in q.answers] for q in card.questions}
    assert texts[SCRIPT][1:] == [f"you said {SCRIPT}"] * 2
    assert texts[ESCAPES][1:] == [f"you said {ESCAPES}"] * 2
    assert texts[SCRIPT][0]


def test_failures_show_the_stack_and_the_end_of_the_log(facts: ReportData) -> None:
    by_outcome = {(f.model, f.row["outcome"]): f for f in facts.failures}
    timeout, crash = by_outcome[2, "timeout"], by_outcome[2, "crashed"]
    assert "forever" in timeout.row["traceback"]
    assert timeout.row["raw_text"] == "partial words"
    assert crash.row["exit_signal"] == "SIGSEGV"
    unreadable = by_outcome[None, "error"]
    assert (unreadable.jobs, unreadable.row["phase"]) == (6, "prepare")
    load = by_outcome[3, "error"]
    assert (load.jobs, load.recovered) == (4, 2)


def test_working_and_failing_models_are_separated(facts: ReportData) -> None:
    assert [model.works for model in facts.models] == ["all", "some", "some"]
    assert summary.headline(facts) == "1 of 3 models answered everything and 2 some of it."
    assert (
        summary.image_failures_note(facts)
        == "1 image could not be read, so no model was run on it."
    )
    figures = {figure.title: figure.detail for figure in summary.figures(facts)}
    assert set(figures) == {"Fastest answer", "Least memory", "Quickest to load"}
    assert all(detail.startswith("demo") for detail in figures.values())
    assert "num2words is missing" in (summary.remarks(facts.models[2], facts) or "")
    assert "cut off at max_new_tokens" in (summary.remarks(facts.models[0], facts) or "")


def test_every_kind_of_sweep_has_a_summary(facts: ReportData) -> None:
    def summarize(*models: object) -> str:
        return summary.headline(dataclasses.replace(facts, models=list(models)))

    demo, liar, _ = facts.models
    zero = {**demo.summary, "ok": 0, "skipped": 0, "waiting": 0}
    lost = dataclasses.replace(demo, summary={**zero, "failed": 9})
    idle = dataclasses.replace(demo, summary={**zero, "failed": 0})
    assert summarize(idle, idle) == "No model was tried yet."
    assert summarize(demo) == "The model answered everything."
    assert summarize(demo, demo) == "Both models answered everything."
    assert summarize(demo, demo, demo) == "All 3 models answered everything."
    assert summarize(lost, idle, liar) == (
        "None of 3 models answered everything, 1 some of it, 1 nothing and 1 not tried yet."
    )


def test_only_logs_next_to_the_database_are_read(tmp_path: Path) -> None:
    ours = tmp_path / "history.db.files" / "logs" / "worker-1.log"
    ours.parent.mkdir(parents=True)
    ours.write_text("\n".join(f"line {number}" for number in range(10_000)))
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    database = tmp_path / "history.db"
    tail = log_tail(database, str(ours))
    assert tail is not None
    assert tail.endswith("line 9999")
    assert tail.count("\n") < 40
    assert log_tail(database, str(secret)) is None
    assert log_tail(database, str(ours.parent / ".." / ".." / "secret.txt")) is None
    (ours.parent / "link.log").symlink_to(secret)
    assert log_tail(database, str(ours.parent / "link.log")) is None
    assert log_tail(database, str(ours) + ".gone") is None
    assert log_tail(database, "nul\0") is None


def test_downsampled_timeline_keeps_its_peak() -> None:
    samples = [
        {"at_s": i / 4, "rss_bytes": 1000 + (5000 if i == 4321 else i % 7), "phase": "load"}
        for i in range(10_000)
    ]
    kept = timeline.downsample(samples)
    assert len(kept) <= timeline.POINTS
    assert max(row["rss_bytes"] for row in kept) == 6000
    assert (kept[0], kept[-1]) == (samples[0], samples[-1])


def test_phases_have_no_gaps() -> None:
    names = ["start", "load", "load", "generate", "prefill", "generate"]
    points = [{"at_s": float(i), "phase": name} for i, name in enumerate(names)]
    phases = [(p["phase"], p["begin"], p["end"]) for p in timeline.phases(points)]
    assert phases == [
        ("start", 0, 1),
        ("load", 1, 3),
        ("generate", 3, 4),
        ("prefill", 4, 5),
        ("generate", 5, 5),
    ]


@pytest.mark.parametrize("points", [[(100.0, 100.0)] * 6, [(x * 9.0, 50.0) for x in range(12)]])
def test_plot_labels_do_not_overlap(points: list[tuple[float, float]]) -> None:
    numbers = [str(i) for i in range(1, len(points) + 1)]
    boxes = [
        (*at, scatter.LETTER * len(number) + 2, scatter.LINE)
        for at, number in zip(scatter.place_labels(points, numbers), numbers, strict=True)
    ]
    for i, box in enumerate(boxes):
        assert not any(scatter.boxes_overlap(box, other) for other in boxes[:i])


def test_every_outcome_and_phase_has_a_colour() -> None:
    style = (page.TEMPLATES / "page.css").read_text()
    assert set(plots.OUTCOMES) == {*Outcome, "waiting", "unusable_image"}
    assert set(timeline.PHASES) == set(Phase) - {Phase.PREPARE, Phase.IDLE}
    for name in (*plots.OUTCOMES, *timeline.PHASES):
        assert f"--{page.kebab(name)}: #" in style
        assert f".{page.kebab(name)} {{ --mine" in style


def test_checks_and_scores_are_described() -> None:
    seen = dict.fromkeys(("score", "empty", "cut_off", "repetition", "special_tokens"))
    seen["prompt_echoed"] = None
    assert scores.score_flags(seen) == []
    assert scores.score_flags(seen | {"score": 1.0, "repetition": 0.49, "special_tokens": 0}) == [
        "right"
    ]
    assert scores.score_flags(seen | {"score": 0.0, "cut_off": 1}) == ["wrong", "cut off"]
    assert scores.score_flags(seen | {"score": 0.3, "repetition": 0.5}) == [
        "partly right",
        "repeats itself",
    ]
    every = dict.fromkeys(seen, 1) | {"score": None}
    assert len(scores.score_flags(every)) == 5


def test_answer_is_shown_with_its_facts(facts: ReportData, reader: Reader) -> None:
    rows = {row["job_id"]: row for row in reader.scored_jobs(facts.sweep["id"])}
    all_answers = [a for card in facts.cards for q in card.questions for a in q.answers]
    known = [answer for answer in all_answers if answer.scored]
    assert len(known) == sum(row["characters"] is not None for row in rows.values())
    for answer in known:
        assert answer.scored is not None
        assert answer.scored["repetition"] == rows[answer.row["job_id"]]["repetition"]


@pytest.mark.parametrize("format", [None, "csv"])
def test_report_text_has_no_control_characters(
    format: str | None, facts: ReportData, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "5000")
    rows = reader.results(facts.sweep["id"])
    for shown in (tables.results(rows), tables.summary_table(reader.summary(facts.sweep["id"]))):
        screen = Screen()
        write_grid(shown, format or "table", screen)  # type: ignore[arg-type]
        plain = re.sub("\x1b\\[[01]m", "", screen.getvalue())
        assert not UNSAFE.search(plain)
    assert "[31mred" in "".join(row["text"] or "" for row in rows)


def test_spreadsheet_reads_texts_unchanged(facts: ReportData, reader: Reader) -> None:
    rows = reader.results(facts.sweep["id"])
    out = io.StringIO()
    write_grid(tables.results(rows), "csv", out)
    read = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert [row["text"] for row in read] == [row["text"] or "" for row in rows]
    assert {SCRIPT, ESCAPES} <= {row["text"].removeprefix("you said ") for row in read}


def test_sweep_that_has_not_started_can_be_reported(
    tmp_path: Path, store: Store, queued: Callable[..., int]
) -> None:
    number = queued(["zebra", "ape"], ["a"])
    with Reader(store.path) as reader:
        facts = load_report(reader, reader.sweep(str(number)))
    assert [model.name for model in facts.models] == ["zebra", "ape"]
    assert [model.works for model in facts.models] == ["waiting"] * 2
    text = page.page(facts)
    assert "No model was tried yet." in text
    assert render_markdown(facts).count("waiting") > 1

"""Reference answers from the file to the table: run, plan, show and rescore."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner.cli import cli, options
from runner.database.reader import Reader
from runner.database.store import Store
from runner.scoring.metrics import known_metrics
from tests.helpers.scripted_sweep import FakeLauncher

ANSWERS = "prompt,answer\na,you said a\nb,nothing of the kind\n"


def vlmsweep(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sweep of two questions and the answers to them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLMSWEEP_DB", str(tmp_path / "history.db"))
    monkeypatch.setattr("runner.supervisor.supervisor.ShimLauncher", FakeLauncher)
    (tmp_path / "good").mkdir()
    (tmp_path / "answers.csv").write_text(ANSWERS)
    save(tmp_path)
    return tmp_path


def save(folder: Path, **more: object) -> None:
    asked = [{"text": text, "images": "none"} for text in ("a", "b")]
    data = {"models": ["./good"], "prompts": asked} | more
    (folder / "sweep.yaml").write_text(json.dumps(data))


def test_sweep_is_scored_while_running(here: Path) -> None:
    save(here, answers="answers.csv", scoring=["contains", "anls"], repeats=2)
    result = vlmsweep("run", "sweep.yaml")
    assert result.exit_code == 0, result.output
    assert "contains 50.0% (9–91)" in result.output
    with Reader(here / "history.db") as reader:
        (row,) = reader.summary(1)
        assert (row["score_metric"], row["score"], row["score_n"]) == ("contains", 0.5, 2)
        assert [json.loads(row["scores"])["contains"] for row in reader.scored_jobs(1)] == [
            1,
            1,
            0,
            0,
        ]
    shown = json.loads(vlmsweep("show", "--scores", "--json").stdout)
    assert [(row["metric"], row["n"], row["known"]) for row in shown] == [
        ("contains", 2, 2),
        ("anls", 2, 2),
    ]
    assert "95% from" in vlmsweep("show", "--scores").output


def test_no_score_without_reference_answers(here: Path) -> None:
    assert "Score" not in vlmsweep("run", "sweep.yaml", "-q").output
    (row,) = json.loads(vlmsweep("show", "--json").stdout)
    assert row["score"] is row["score_metric"] is None
    assert "0 scored" in vlmsweep("judge").output


def test_answers_option_names_the_reference_file(here: Path) -> None:
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    (here / "sweep.yaml").rename(elsewhere / "sweep.yaml")
    arguments = ["elsewhere/sweep.yaml", "-m", "good", "--answers", "answers.csv"]
    result = vlmsweep("plan", *arguments)
    assert "Answers: known for 2 jobs, scored by exact, contains, anls" in result.output
    result = vlmsweep("plan", *arguments, "--scoring", "anls", "--json")
    assert json.loads(result.stdout)["scoring"] == ["anls"]
    assert vlmsweep("run", *arguments, "-q").exit_code == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"answers": "anwsers.csv"}, "did you mean answers.csv?"),
        ({"scoring": "exact"}, "scoring would be ignored without answers"),
        ({"answers": "answers.csv", "scoring": ["exakt"]}, "did you mean exact?"),
        ({"answers": "answers.csv", "scoring": ["vqa"]}, "needs ten answers to each question"),
        ({"answers": "answers.csv", "scoring": []}, "scoring: should not be empty"),
    ],
)
def test_reference_file_problems_are_reported_before_any_run(
    here: Path, more: dict[str, object], says: str
) -> None:
    save(here, **more)
    result = vlmsweep("run", "sweep.yaml")
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (here / "history.db").exists()


def test_rescore_uses_reference_answers_added_later(here: Path) -> None:
    assert vlmsweep("run", "sweep.yaml", "-q").exit_code == 0
    result = vlmsweep("judge", "--answers", "answers.csv", "--scoring", "exact")
    assert result.exit_code == 0, result.output
    assert "2 texts checked, 2 scored" in result.output
    (here / "answers.csv").write_text("prompt,answer\nb,you said b\n")
    added = vlmsweep("judge", "1", "--answers", "answers.csv", "--scoring", "exact")
    assert "0 jobs got accepted answers, 1 got more, 1 unchanged" in added.output
    again = vlmsweep("judge", "1", "--answers", "answers.csv", "--scoring", "exact")
    assert "0 jobs got accepted answers, 2 unchanged" in again.output
    (row,) = json.loads(vlmsweep("judge", "1", "--json").stdout)[:1]
    assert (row["metric"], row["n"], row["known"]) == ("exact", 2, 2)
    replacing = ["judge", "1", "--answers", "answers.csv", "--replace"]
    assert "2 had answers replaced or removed" in vlmsweep(*replacing).output
    (row,) = json.loads(vlmsweep(*replacing, "--json").stdout)[:1]
    assert (row["metric"], row["mean"], row["n"], row["known"]) == ("exact", 1, 1, 1)
    assert vlmsweep("judge", "--replace").exit_code == 2
    result = vlmsweep("judge", "--scoring", "exact")
    assert result.exit_code == 2
    assert "--answers" in result.stderr


@pytest.mark.slow
def test_each_sweep_is_rescored_with_its_own_reference_answers(here: Path) -> None:
    assert vlmsweep("run", "sweep.yaml", "-q").exit_code == 0
    save(here, answers="answers.csv", scoring="exact", name="known")
    assert vlmsweep("run", "sweep.yaml", "-q").exit_code == 0
    save(here, answers="answers.csv", scoring="exact", name="again")
    assert vlmsweep("run", "sweep.yaml", "-q").exit_code == 0
    store = Store(here / "history.db")
    store.connection.execute("DELETE FROM checks")
    store.connection.execute("DELETE FROM scores")
    store.close()
    result = vlmsweep("judge", "--all")
    assert "6 texts checked, 4 scored" in result.output
    assert "known" in result.output
    assert "again" in result.output
    assert vlmsweep("judge", "--all", "--answers", "answers.csv").exit_code == 2


def test_notes_summarize_the_checks(here: Path) -> None:
    assert vlmsweep("run", "sweep.yaml", "-q").exit_code == 0
    store = Store(here / "history.db")
    store.connection.execute("UPDATE checks SET cut_off = 1, special_tokens = run_id - 1")
    store.close()
    reply = "of 2 texts 2 cut off at max_new_tokens, 1 with special tokens left"
    assert reply in vlmsweep("show").output


def test_rescore_reports_a_supervisor_that_does_not_respond(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.control.client.TIMEOUT_S", 0.1)
    assert vlmsweep("run", "sweep.yaml", "-q").exit_code == 0
    store = Store(here / "history.db")
    try:
        result = vlmsweep("judge")
    finally:
        store.close()
    assert result.exit_code == 3
    assert "does not answer" in result.stderr


def test_rescore_of_an_unknown_sweep_writes_nothing(here: Path) -> None:
    result = vlmsweep("judge", "tuesday")
    assert result.exit_code == 3
    assert not (here / "history.db").exists()


def test_image_is_matched_by_stored_facts(here: Path) -> None:
    """The image is deleted before the reference answers arrive; its name and hash are stored."""
    from PIL import Image

    Image.new("RGB", (20, 20), "red").save(here / "red.png")
    assert vlmsweep("run", "-m", "good", "-i", "red.png", "-p", "a", "-q").exit_code == 0
    with Reader(here / "history.db") as reader:
        (digest,) = [row["source_sha256"] for row in reader.records("SELECT * FROM images")]
    (here / "red.png").unlink()
    for row in ({"file": "red.png"}, {"file": "was.png", "sha256": digest}):
        (here / "late.json").write_text(json.dumps([row | {"answer": "you said a"}]))
        done = vlmsweep("judge", "--answers", "late.json", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)[0]["mean"] == 1


def test_metric_option_accepts_only_known_metrics() -> None:
    assert [options.METRIC.convert(name, None, None) for name in known_metrics()] == list(
        known_metrics()
    )
    result = vlmsweep("judge", "--answers", "answers.csv", "--scoring", "exakt")
    assert result.exit_code == 2
    assert "'exakt' is not one of vqa, exact, contains, anls" in result.output

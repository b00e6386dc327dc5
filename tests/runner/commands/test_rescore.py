"""Checks and scores in the database: stored with the outcome, and recomputed on request."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner import api, queries
from runner.commands.rescore import RescoreResult, rescore, rescore_locally
from runner.control.dispatch import execute
from runner.control.protocol import Request
from runner.control.server import ControlServer
from runner.database import score_writer
from runner.database.reader import Reader
from runner.database.recovery import recover
from runner.database.store import Store
from runner.planning import expand, sweepfile
from tests.helpers.scripted_sweep import Sweeper

LOOP = "red red red red red red red red"


def finish(store: Store, job: int, **row: object) -> int:
    run = store.start_run(job, None)
    store.finish_run(run, {"outcome": "ok", "finish_reason": "stop", **row})
    return run


def score_records(store: Store) -> list[dict[str, object]]:
    return list(store.db.query("SELECT * FROM scored ORDER BY job_id"))


def test_run_is_checked_when_it_ends(sweep: Sweeper) -> None:
    done = sweep(["good"], ["What is this?"])
    (row,) = score_records(done.store)
    text = str(row["text"])
    assert row["characters"] == len(text)
    assert (row["empty"], row["special_tokens"]) == (0, 0)
    assert row["reference_answers"] is row["scores"] is None


def test_checks_and_outcome_are_stored_in_one_transaction(
    store: Store, queued: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    queued(["m"], ["p"])
    run = store.start_run(1, None)

    def fails(*_: object) -> bool:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(score_writer, "score_run", fails)
        with pytest.raises(RuntimeError):
            store.finish_run(run, {"outcome": "ok", "text": LOOP, "raw_text": LOOP})
    assert store.connection.execute("SELECT outcome FROM runs").fetchone() == (None,)
    store.finish_run(run, {"outcome": "ok", "text": LOOP, "raw_text": LOOP})
    (row,) = score_records(store)
    assert float(str(row["repetition"])) > 0.8


def test_partial_text_of_a_killed_run_is_checked(store: Store, queued: Callable[..., int]) -> None:
    queued(["m"], ["What is this?", "And what is that?", "silent, isn't it?"])
    finish(store, 1, outcome="timeout", finish_reason=None, raw_text="What is this? A")
    died = store.start_run(2, None)
    store.update("runs", died, {"raw_text": "It is a"})
    recover(store)
    finish(store, 3, outcome="timeout", finish_reason=None)
    first, second, third = score_records(store)
    assert (first["prompt_echoed"], first["cut_off"], first["words"]) == (1, None, 4)
    assert (second["outcome"], second["words"]) == ("interrupted", 3)
    assert third["empty"] is third["characters"] is None


def test_question_is_the_last_user_turn() -> None:
    turns = (
        '[{"role":"user","text":"a"},{"role":"assistant","text":"b"},{"role":"user","text":"c"}]'
    )
    assert score_writer.question(turns) == "c"


def test_only_ok_runs_with_reference_answers_are_scored(
    store: Store, queued: Callable[..., int]
) -> None:
    queued(["m"], ["What colour?", "Which shape?", "How many?"])
    for job in (1, 2):
        score_writer.store_reference(store.connection, job, ["Red", "light red"], ["exact", "anls"])
    finish(store, 1, text="red.")
    finish(store, 2, outcome="error", error_class="image_ignored", text="red")
    finish(store, 3, text="red")
    scores = list(store.db.query("SELECT * FROM scores ORDER BY metric"))
    assert scores == [
        {"run_id": 1, "metric": "anls", "value": 0.75, "expected": "Red"},
        {"run_id": 1, "metric": "exact", "value": 1.0, "expected": "Red"},
    ]
    first, second, third = score_records(store)
    assert json.loads(first["scores"]) == {"exact": 1.0, "anls": 0.75}
    assert second["reference_answers"] == '["Red","light red"]'
    assert second["scores"] is third["scores"] is third["reference_answers"] is None


def test_rescore_replaces_earlier_scores(store: Store, queued: Callable[..., int]) -> None:
    sweep = queued(["m"], ["What colour?"])
    finish(store, 1, text="blue")
    finish(store, 1, text="red")
    score_writer.store_reference(store.connection, 1, ["red"], ["exact", "contains"])
    assert rescore_locally(store, sweep, None) == score_writer.ScoreProgress(checked=2, scored=2)
    score_writer.store_reference(store.connection, 1, ["red"], ["exact"])
    store.connection.execute("DELETE FROM checks")
    assert rescore_locally(store, sweep, None) == score_writer.ScoreProgress(checked=2, scored=2)
    assert store.db["checks"].count == 2
    values = store.connection.execute("SELECT run_id, metric, value FROM scores").fetchall()
    assert values == [(1, "exact", 0.0), (2, "exact", 1.0)]


def test_repeats_of_a_question_are_counted_once(store: Store, queued: Callable[..., int]) -> None:
    sweep = queued(["m", "n"], ["a", "b"], repeats=2)
    for job in range(1, 9):
        score_writer.store_reference(store.connection, job, ["yes"], ["exact"])
    for job, text in enumerate(["yes", "no", "yes", "yes", "no", "no"], start=1):
        finish(store, job, text=text)
    rows = list(store.db.query("SELECT * FROM model_scores WHERE sweep_id = ?", [sweep]))
    assert [(row["model"], row["n"], row["mean"]) for row in rows] == [("m", 2, 0.75), ("n", 1, 0)]


def by_the_supervisor(store: Store, work: Callable[[], object]) -> object:
    """Result of a command in another thread, while this one listens like a supervisor."""
    with ControlServer(store) as listener, ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        while not done.done():
            listener.poll()
    return done.result()


def test_running_supervisor_does_the_rescore(
    store: Store,
    queued: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(score_writer, "AT_ONCE", 2)
    monkeypatch.setattr("runner.control.score_handlers.LINES", 2)
    sweep = queued(["m"], ["a", "b", "c", "d", "e"])
    for job in range(1, 6):
        finish(store, job, text="red", raw_text="red")
    rows = [{"prompt": prompt, "answer": "red"} for prompt in "abcde"]
    rows[4]["answer"] = "blü"
    (tmp_path / "answers.json").write_text(json.dumps(rows))
    for _ in range(2):
        rescored = by_the_supervisor(
            store, lambda: rescore(store.path, str(sweep), tmp_path / "answers.json", ["exact"])
        )
        assert isinstance(rescored, RescoreResult)
        assert (rescored.done.checked, rescored.done.scored) == (5, 5)
        assert [(row["metric"], row["mean"], row["n"]) for row in rescored.scores] == [
            ("exact", 0.8, 5)
        ]
    assert not list(tmp_path.rglob("*.jsonl"))
    arguments = store.connection.execute("SELECT group_concat(arguments) FROM requests").fetchone()
    assert "blü" not in arguments[0]


def test_queued_sweep_keeps_its_reference_answers(store: Store, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "answers.csv").write_text("prompt,answer\na,red\n")
    prompts = [{"text": text, "images": "none"} for text in "ab"]
    data = {"models": ["./m"], "prompts": prompts, "answers": "answers.csv", "scoring": "exact"}
    plan = expand.expand_sweep(sweepfile.validate(data, "test"), tmp_path, "test")
    terms = {"label": None, "priority": 0, "not_before": None, "after_sweep_id": None}
    made = by_the_supervisor(
        store, lambda: api.enqueue(plan, store.path, lambda event: None, terms)
    )
    assert isinstance(made, dict)
    found = store.connection.execute("SELECT answers, metrics FROM reference_answers").fetchall()
    assert found == [('["red"]', '["exact"]')]
    finish(store, 1, text="red")
    assert store.connection.execute("SELECT value FROM scores").fetchall() == [(1.0,)]


def test_removing_a_job_removes_its_reference_answers(
    store: Store, queued: Callable[..., int]
) -> None:
    sweep = queued(["m"], ["a"])
    score_writer.store_reference(store.connection, 1, ["red"], ["exact"])
    request = Request("remove", {"level": "sweep", "id": sweep})
    assert execute(store, request)[0] == {"removed": 1}
    assert store.db["reference_answers"].count == 0
    score_writer.store_reference(store.connection, 1, ["red"], ["exact"])
    assert store.db["reference_answers"].count == 0


def query_rows(store: Store, name: str, **given: object) -> list[dict[str, object]]:
    """A named query's rows."""
    query = queries.find_query(name, Path("/nonexistent"))
    with Reader(store.path) as reader:
        answer = reader.query(query.sql, query.values(dict(given)))
        return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]


def test_wrong_answers_can_be_listed(store: Store, queued: Callable[..., int]) -> None:
    queued(["m"], ["a", "b", "c", "d"], name="night")
    for job in (1, 2, 3):
        score_writer.store_reference(store.connection, job, ["a red dog"], ["anls", "exact"])
    for job, text in enumerate(["a red dog", "a red fog", "blue", "blue"], start=1):
        finish(store, job, text=text)
    rows = query_rows(store, "wrong")
    assert [(row["text"], row["metric"]) for row in rows] == [
        ("blue", "anls"),
        ("a red fog", "anls"),
    ]
    assert len(query_rows(store, "wrong", max_score=0.5)) == 1
    assert rows[0]["expected"] == "a red dog"
    assert query_rows(store, "wrong", sweep="another") == []


def test_flagged_texts_can_be_listed(store: Store, queued: Callable[..., int]) -> None:
    queued(["m"], [f"What is number {n}?" for n in range(8)])
    texts = ["A red circle on a white background.", "The dog sits beside the door.", "", LOOP]
    texts += ["A cat.<|end|>", "What is number 5? Red.", "Ein roter Kreis auf weißem Grund."]
    for job, text in enumerate(texts, start=1):
        finish(store, job, text=text)
    finish(store, 8, text="A red dog sits on the grass.", finish_reason="length")
    rows = query_rows(store, "odd-texts")
    assert [row["text"] for row in rows] == ["", LOOP, *texts[4:]]
    assert [row["language"] for row in rows] == [None, None, None, None, "de"]

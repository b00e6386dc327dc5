"""Fallbacks: another variant of a model is loaded when the first one fails."""

from __future__ import annotations

from typing import Any

from schemas import stream
from tests.helpers.scripted_sweep import Outcome, Sweeper


def variants(first: str, *others: str, **more: Any) -> dict[str, Any]:
    return {"id": f"./{first}", "name": "m", "fallback": [f"./{name}" for name in others], **more}


def tries(done: Outcome) -> list[tuple[str, int, str]]:
    """Prompt, attempt and outcome of every run."""
    rows = done.store.db.query(
        "SELECT text, attempt, outcome FROM (SELECT prompts.text, runs.attempt, runs.outcome,"
        " runs.id FROM runs JOIN jobs ON jobs.id = job_id JOIN prompts ON prompts.id = prompt_id)"
        " ORDER BY id"
    )
    return [(row["text"], row["attempt"], row["outcome"]) for row in rows]


def test_each_attempt_is_a_run_and_history_shows_the_first_failure(sweep: Sweeper) -> None:
    done = sweep(["error-in-load", "good"], ["a", "b"], tried=[variants("error-in-load", "good")])
    assert tries(done) == [("a", 1, "error"), ("b", 1, "error"), ("a", 2, "ok"), ("b", 2, "ok")]
    assert [(row["outcome"], row["model"], row["attempt"]) for row in done.rows] == [
        ("ok", "m", 2),
        ("ok", "m", 2),
    ]
    (first,) = done.store.db.query("SELECT * FROM runs WHERE id = 1")
    assert first["error_class"] == "missing_package"
    (summary,) = done.store.db.query("SELECT * FROM summary")
    assert (summary["model"], summary["jobs"], summary["ok"]) == ("m", 2, 2)
    assert summary["load_s"] == 0.25
    (emitted,) = [event for event in done.emitted if isinstance(event, stream.FallbackStarted)]
    assert (emitted.model, emitted.jobs) == ("m", 2)
    finished = [event for event in done.emitted if isinstance(event, stream.RunFinished)]
    assert [event.will_retry for event in finished] == [True, True, False, False]


def test_only_failed_jobs_move_to_the_fallback(sweep: Sweeper) -> None:
    done = sweep(["good", "better"], ["a", "error", "b"], tried=[variants("good", "better")])
    assert tries(done) == [
        ("a", 1, "ok"),
        ("error", 1, "error"),
        ("b", 1, "ok"),
        ("error", 2, "error"),
    ]


def test_fallback_chain_is_tried_to_its_end(sweep: Sweeper) -> None:
    names = ["exit-in-load", "error-in-load", "good"]
    done = sweep(names, ["a"], tried=[variants(*names)])
    assert tries(done) == [("a", 1, "crashed"), ("a", 2, "error"), ("a", 3, "ok")]


def test_quarantined_model_passes_its_queued_jobs_to_the_fallback(sweep: Sweeper) -> None:
    limits = {"worker_failures": 2}
    done = sweep(
        ["good", "better"],
        ["abort", "exit 7", "a"],
        tried=[variants("good", "better")],
        limits=limits,
    )
    assert tries(done)[:2] == [("abort", 1, "crashed"), ("exit 7", 1, "crashed")]
    assert tries(done)[-1] == ("a", 1, "skipped")
    assert len(done.workers) == 4


def test_successful_jobs_do_not_fall_back(sweep: Sweeper) -> None:
    done = sweep(["good", "better"], ["a"], tried=[variants("good", "better")])
    assert tries(done) == [("a", 1, "ok")]
    assert len(done.workers) == 1

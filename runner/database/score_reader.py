"""Reads the models' scores, with 95% intervals, and summaries of the checks of their texts.

Both are written by `runner.database.score_writer`; the interval is `runner.scoring.confidence`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NotRequired, Protocol, TypedDict, cast

from ..scoring.checks import CHECK_WORDS, MUCH_REPETITION, summarize_checks
from ..scoring.confidence import interval


class RecordSource(Protocol):
    """The methods of a reader that are used here."""

    def records(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """A question's rows."""


class ModelScoreRow(TypedDict):
    """A model's mean by one metric over `n` questions, with its 95% interval.

    `known` is the number of questions with reference answers; only `model_scores` fills it.
    """

    sweep: str
    model: str
    metric: str
    n: int
    mean: float
    sweep_model_id: int
    low: float | None
    high: float | None
    known: NotRequired[int]


class PrimaryScore(TypedDict):
    """A model's score by the metric that sums up; all None without scores."""

    score_metric: str | None
    score: float | None
    score_low: float | None
    score_high: float | None
    score_n: int | None


NO_SCORE: PrimaryScore = {
    "score_metric": None,
    "score": None,
    "score_low": None,
    "score_high": None,
    "score_n": None,
}

MEANS = """
WITH question AS (
    SELECT sweep_model_id, metric, avg(value) AS value
    FROM jobs JOIN scores ON scores.run_id = jobs.latest_run_id
    WHERE sweep_id = ?1 AND metric IN (SELECT value FROM json_each(?2))
    GROUP BY sweep_model_id, metric, position - repeat
)
SELECT ifnull(sweeps.name, sweeps.uid) AS sweep, sweep_models.name AS model, metric,
    count(*) AS n, avg(value) AS mean, sweep_models.id AS sweep_model_id
FROM question JOIN sweep_models ON sweep_models.id = sweep_model_id
JOIN sweeps ON sweeps.id = sweep_models.sweep_id
GROUP BY sweep_models.id, metric
"""


def model_scores(reader: RecordSource, sweep: int) -> list[ModelScoreRow]:
    """A row per model and metric, in the sweep's order: n, known, mean, low and high.

    `known` are the questions with accepted answers, `n` those of them that were answered; a failed
    run is not a wrong answer. Repeats of a question are averaged first, and count once.
    """
    if not (order := metrics(reader, sweep)):
        return []
    known = reader.records(
        "SELECT sweep_model_id, count(DISTINCT position - repeat) AS known FROM jobs"
        " JOIN reference_answers ON reference_answers.job_id = jobs.id WHERE sweep_id = ?"
        " GROUP BY sweep_model_id",
        sweep,
    )
    of_model = {row["sweep_model_id"]: row["known"] for row in known}
    rows = mean_scores(reader, sweep, order)
    for row in rows:
        row["known"] = of_model[row["sweep_model_id"]]
    return sorted(rows, key=lambda row: (row["sweep_model_id"], order.index(row["metric"])))


def mean_scores(reader: RecordSource, sweep: int, chosen: Sequence[str]) -> list[ModelScoreRow]:
    """Each model's mean by some metrics, with its interval."""
    found = reader.records(MEANS, sweep, json.dumps(list(chosen))) if chosen else []
    rows = cast(list[ModelScoreRow], found)
    for row in rows:
        bounds = interval(row["mean"], row["n"])
        row["low"], row["high"] = (bounds.low, bounds.high) if bounds else (None, None)
    return rows


def primary_scores(reader: RecordSource, sweep: int) -> dict[int, PrimaryScore]:
    """Each model's score by the metric that sums up, under its row's number."""
    return {
        row["sweep_model_id"]: {
            "score_metric": row["metric"],
            "score": row["mean"],
            "score_low": row["low"],
            "score_high": row["high"],
            "score_n": row["n"],
        }
        for row in mean_scores(reader, sweep, metrics(reader, sweep)[:1])
    }


def check_summaries(reader: RecordSource, sweep: int) -> dict[int, str | None]:
    """The summary of the checks of each model's texts, by the row's id."""
    rows = reader.records(
        """
        SELECT sweep_model_id, count(*) AS texts, sum(empty) AS empty, total(cut_off) AS cut_off,
            total(repetition >= ?) AS repeating, total(special_tokens > 0) AS special_tokens,
            total(prompt_echoed) AS prompt_echoed
        FROM jobs JOIN checks ON checks.run_id = jobs.latest_run_id
        WHERE sweep_id = ? GROUP BY sweep_model_id
        """,
        MUCH_REPETITION,
        sweep,
    )
    return {
        row["sweep_model_id"]: summarize_checks(
            row["texts"], {key: int(row[key]) for key in CHECK_WORDS}
        )
        for row in rows
    }


def metrics(reader: RecordSource, sweep: int) -> list[str]:
    """The metrics a sweep is scored by, the one that sums up first; none without answers."""
    found = reader.records(
        "SELECT DISTINCT metrics FROM jobs"
        " JOIN reference_answers ON reference_answers.job_id = jobs.id WHERE sweep_id = ?",
        sweep,
    )
    return list(dict.fromkeys(name for row in found for name in json.loads(row["metrics"])))

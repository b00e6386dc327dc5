"""Reads how models scored: per metric the mean over questions, with its 95% interval.

What is scored is written by `runner.database.judging`; the interval is `runner.judging.interval`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..judging.interval import interval

if TYPE_CHECKING:
    from .reader import Reader

NOTHING = dict.fromkeys(("score_metric", "score", "score_low", "score_high", "score_n"))


def model_scores(reader: Reader, sweep: int) -> list[dict[str, Any]]:
    """A row per model and metric, in the sweep's order: n, known, mean, low and high.

    `known` are the questions with accepted answers, `n` those of them that were answered; what
    ended not ok is no wrong answer. Repeats of a question are averaged first, and count once.
    """
    if not there(reader):
        return []
    rows = reader.records(
        """
        WITH question AS (
            SELECT sweep_model_id, metric, avg(value) AS value
            FROM jobs JOIN scores ON scores.run_id = jobs.latest_run_id
            WHERE sweep_id = ? GROUP BY sweep_model_id, metric, position - repeat
        )
        SELECT sweep_models.name AS model, metric, count(*) AS n,
            (SELECT count(DISTINCT position - repeat) FROM jobs JOIN answers
                ON answers.job_id = jobs.id WHERE jobs.sweep_model_id = sweep_models.id) AS known,
            avg(value) AS mean, sweep_models.id AS sweep_model_id
        FROM question JOIN sweep_models ON sweep_models.id = sweep_model_id
        GROUP BY sweep_models.id, metric
        """,
        sweep,
    )
    order = metrics(reader, sweep)
    for row in rows:
        bounds = interval(row["mean"], row["n"])
        row |= {"low": bounds and bounds.low, "high": bounds and bounds.high}
    return sorted(rows, key=lambda row: (row["sweep_model_id"], order.index(row["metric"])))


def summed_up(reader: Reader, sweep: int) -> dict[int, dict[str, Any]]:
    """Each model's score by the metric that sums up, under its row's number."""
    rows = model_scores(reader, sweep)
    return {
        row["sweep_model_id"]: {
            "score_metric": row["metric"],
            "score": row["mean"],
            "score_low": row["low"],
            "score_high": row["high"],
            "score_n": row["n"],
        }
        for row in reversed(rows)  # a model's first metric is the last to be kept
    }


def metrics(reader: Reader, sweep: int) -> list[str]:
    """The metrics a sweep is scored by, the one that sums up first."""
    found = reader.records(
        "SELECT DISTINCT metrics FROM jobs JOIN answers ON answers.job_id = jobs.id"
        " WHERE sweep_id = ?",
        sweep,
    )
    return list(dict.fromkeys(name for row in found for name in json.loads(row["metrics"])))


def there(reader: Reader) -> bool:
    """Whether the file has scores at all: one that only an older vlmsweep wrote has none."""
    return bool(reader.records("SELECT 1 FROM sqlite_master WHERE name = 'scores'"))

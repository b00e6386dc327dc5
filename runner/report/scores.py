"""Reads text checks and scores for a report on one sweep.

A file that only an older vlmsweep wrote has neither; then nothing is reported. The checks and
scores are defined in docs/scoring.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..database.reader import Reader
from ..scoring.checks import MUCH_REPETITION
from .data import Record

CHECKS = """
SELECT checks.*, reference_answers.answers AS accepted,
    (SELECT value FROM scores WHERE scores.run_id = checks.run_id
        AND metric = json_extract(reference_answers.metrics, '$[0]')) AS score
FROM jobs JOIN checks ON checks.run_id = jobs.latest_run_id
LEFT JOIN reference_answers ON reference_answers.job_id = jobs.id
WHERE jobs.sweep_id = ?
"""


@dataclass(frozen=True, slots=True)
class ScoreData:
    """Checks and score by run id; reference answers by job id."""

    runs: dict[int, Record]
    accepted: dict[int, list[str]]


def read_scores(reader: Reader, sweep: int) -> ScoreData:
    """All of a sweep's."""
    accepted = reader.records(
        "SELECT job_id, answers FROM reference_answers JOIN jobs ON jobs.id = job_id"
        " WHERE sweep_id = ?",
        sweep,
    )
    return ScoreData(
        runs={row["run_id"]: row for row in reader.records(CHECKS, sweep)},
        accepted={row["job_id"]: json.loads(row["answers"]) for row in accepted},
    )


def score_flags(row: Record) -> list[str]:
    """Short flags from a text's checks and score, by the rows of `CHECKS`."""
    out = []
    if row["score"] is not None:
        out.append(MARKS.get(row["score"], "partly right"))
    out += ["empty"] if row["empty"] else []
    out += ["cut off"] if row["cut_off"] else []
    out += ["repeats itself"] if (row["repetition"] or 0) >= MUCH_REPETITION else []
    out += ["special tokens left"] if row["special_tokens"] else []
    out += ["prompt echoed"] if row["prompt_echoed"] else []
    return out


MARKS = {1.0: "right", 0.0: "wrong"}

"""Writes checks of texts and scores of answers: with each outcome, or all of them again.

The figures come from `runner.scoring`, which knows no database. Reading is
`runner.database.score_reader`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schemas.states import Outcome

from ..scoring.checks import check_text
from ..scoring.match_references import JobKey
from ..scoring.metrics import score_answer

AT_ONCE = 200

RUNS = """
SELECT runs.id, runs.outcome, runs.text, runs.raw_text, runs.finish_reason, prompts.turns,
    reference_answers.answers, reference_answers.metrics
FROM runs JOIN jobs ON jobs.id = runs.job_id JOIN prompts ON prompts.id = jobs.prompt_id
LEFT JOIN reference_answers ON reference_answers.job_id = jobs.id
"""


@dataclass(frozen=True, slots=True)
class ScoreProgress:
    """Counts of checked and scored texts; `last` is the last run, None at the end."""

    checked: int
    scored: int
    last: int | None = None


def score_run(connection: sqlite3.Connection, run: int) -> ScoreProgress:
    """Stores the checks and scores of one run, within the caller's transaction.

    A run without text gets no row.
    """
    row = connection.execute(RUNS + "WHERE runs.id = ?", [run]).fetchone()
    _, outcome, text, raw_text, finish_reason, turns, accepted, chosen = row
    seen = check_text(text, raw_text, finish_reason, question(turns))
    if seen is None:
        return ScoreProgress(0, 0)
    replace_row(connection, "checks", {"run_id": run, **asdict(seen)})
    if outcome != Outcome.OK or text is None or accepted is None:
        return ScoreProgress(1, 0)
    for score in score_answer(text, json.loads(accepted), json.loads(chosen)):
        replace_row(connection, "scores", {"run_id": run, **asdict(score)})
    return ScoreProgress(1, 1)


def question(turns: str) -> str:
    """The user's last turn, which an answer is the answer to."""
    asked = [turn["text"] for turn in json.loads(turns) if turn["role"] == "user"]
    return str(asked[-1]) if asked else ""


def replace_row(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    """Replaces a row."""
    columns, placeholders = ", ".join(row), ", ".join("?" * len(row))
    statement = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({placeholders})"  # noqa: S608
    connection.execute(statement, list(row.values()))


def store_reference(
    connection: sqlite3.Connection, job: int, accepted: Sequence[str], chosen: Iterable[str]
) -> None:
    """Stores the reference answers of a job, if any, and the metrics that score it."""
    connection.execute(
        "INSERT OR REPLACE INTO reference_answers (job_id, answers, metrics)"
        " SELECT id, ?, ? FROM jobs WHERE id = ?",
        [as_json(accepted), as_json(list(chosen)), job],
    )


def load_references(connection: sqlite3.Connection, sweep: int) -> dict[int, tuple[str, ...]]:
    """Accepted answers by job, of the jobs of a sweep that have any."""
    rows = connection.execute(
        "SELECT job_id, answers FROM reference_answers JOIN jobs ON jobs.id = job_id"
        " WHERE sweep_id = ?",
        [sweep],
    )
    return {job: tuple(json.loads(answers)) for job, answers in rows}


def delete_references(connection: sqlite3.Connection, sweep: int) -> None:
    """Drops what was accepted as answers to a sweep's jobs."""
    connection.execute(
        "DELETE FROM reference_answers WHERE job_id IN (SELECT id FROM jobs WHERE sweep_id = ?)",
        [sweep],
    )


def as_json(value: object) -> str:
    """JSON as all of the database has it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def score_batch(connection: sqlite3.Connection, sweep: int, after: int) -> ScoreProgress:
    """Checks and scores a few runs of a sweep again, within the caller's transaction.

    They are those that come after a run; 0 begins.
    """
    runs = connection.execute(
        "SELECT runs.id FROM jobs JOIN runs ON runs.job_id = jobs.id WHERE jobs.sweep_id = ?"
        " AND runs.outcome IS NOT NULL AND runs.id > ? ORDER BY runs.id LIMIT ?",
        [sweep, after, AT_ONCE],
    ).fetchall()
    done = []
    for run in runs:
        connection.execute("DELETE FROM checks WHERE run_id = ?", run)
        connection.execute("DELETE FROM scores WHERE run_id = ?", run)
        done.append(score_run(connection, run[0]))
    last = runs[-1][0] if len(runs) == AT_ONCE else None
    return ScoreProgress(sum(one.checked for one in done), sum(one.scored for one in done), last)


def job_keys(connection: sqlite3.Connection, sweep: int) -> Iterator[JobKey]:
    """A stored sweep's jobs, as answers are matched to them."""
    images: dict[int, list[tuple[str, str | None]]] = {}
    for job, path, digest in connection.execute(
        "SELECT jobs.id, path, source_sha256 FROM jobs JOIN job_images AS at ON job_id = jobs.id"
        " JOIN images ON images.id = image_id WHERE sweep_id = ? ORDER BY jobs.id, at.position",
        [sweep],
    ):
        images.setdefault(job, []).append((path, digest))
    for job, name, text in connection.execute(
        "SELECT jobs.id, name, text FROM jobs JOIN prompts ON prompts.id = prompt_id"
        " WHERE sweep_id = ? ORDER BY jobs.id",
        [sweep],
    ):
        seen = images.get(job, [])
        paths, digests = tuple(path for path, _ in seen), tuple(digest for _, digest in seen)
        yield JobKey(job, paths, name, text, digests)

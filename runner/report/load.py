"""Reads a sweep's history into `facts`, with its own queries through the Reader.

It opens no file but the logs in the database's folder, and sanitizes nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from schemas.states import Outcome

from ..database.file_names import files_folder
from ..database.liveness import gone_since
from ..database.reader import Reader
from ..database.score_reader import check_summaries
from .data import (
    AnswerRow,
    Environment,
    FailureGroup,
    ImageCard,
    LoadAttempt,
    Model,
    Question,
    Record,
    ReportData,
    Worker,
)
from .scores import ScoreData, read_scores

LOG_BYTES = 6_000
LOG_LINES = 40
EXAMPLES = 4

ANSWERS = """
SELECT jobs.id AS job_id, jobs.sweep_model_id, jobs.prompt_id, jobs.repeat,
    runs.id AS run_id, runs.attempt, runs.outcome, runs.text, runs.raw_text, runs.transcript,
    runs.message, runs.hint, runs.error_class, runs.phase, runs.latency_s, runs.ttft_s,
    runs.output_tokens, runs.generation_tps, runs.finish_reason, runs.notes,
    workers.sweep_model_id AS variant_id
FROM jobs LEFT JOIN runs ON runs.id = jobs.latest_run_id
LEFT JOIN workers ON workers.id = runs.worker_id
WHERE jobs.sweep_id = ? ORDER BY jobs.position
"""
FAILED = """
SELECT runs.id AS run_id, runs.job_id, runs.outcome, runs.phase, runs.error_class, runs.message,
    runs.unusable_image, runs.hint, runs.traceback, runs.raw_text, runs.attempt,
    jobs.sweep_model_id, latest.outcome AS ended, workers.id AS worker_id,
    workers.number AS worker_number, workers.sweep_model_id AS variant_id,
    workers.exit_code, workers.exit_signal,
    workers.killed_for, workers.kill_s, workers.stack, workers.log_path, workers.peak_rss_bytes,
    ifnull(prompts.name, prompts.text) AS prompt,
    (SELECT group_concat(name, ', ') FROM (SELECT images.name FROM job_images
        JOIN images ON images.id = job_images.image_id WHERE job_images.job_id = jobs.id
        ORDER BY job_images.position LIMIT 3)) AS image
FROM runs JOIN jobs ON jobs.id = runs.job_id
JOIN prompts ON prompts.id = jobs.prompt_id
JOIN runs AS latest ON latest.id = jobs.latest_run_id
LEFT JOIN workers ON workers.id = runs.worker_id
WHERE jobs.sweep_id = ? AND runs.outcome NOT IN ('ok', 'skipped')
ORDER BY runs.id
"""


def load_report(reader: Reader, sweep: Record) -> ReportData:
    """Load the data of a report on one sweep. Raises QueryError."""
    number = sweep["id"]
    models = read_models(reader, number)
    numbers = {variant.row["id"]: m.number for m in models for variant in m.variants}
    return ReportData(
        sweep=sweep,
        gone_since=gone_since(reader, sweep),
        spec=json.loads(sweep["spec"]),
        models=models,
        cards=read_cards(reader, number, numbers),
        failures=read_failures(reader, number, numbers),
        environments=read_environments(reader, sweep, models),
    )


def read_models(reader: Reader, sweep: int) -> list[Model]:
    """The guide's table, each row with the ways the model was loaded."""
    variants = reader.records("SELECT * FROM sweep_models WHERE sweep_id = ? ORDER BY id", sweep)
    first = {row["id"]: row["fallback_of"] or row["id"] for row in variants}
    summary = {row["sweep_model_id"]: row for row in reader.summary(sweep)}
    order = {id: number for number, id in enumerate(summary, start=1)}
    workers = read_workers(reader, sweep, {id: order[first[id]] for id in first})
    remarks = check_summaries(reader, sweep)
    asked = by_id(reader, "models", {row["model_id"] for row in variants})
    jobs: dict[int, list[Record]] = defaultdict(list)
    for row in reader.records(
        "SELECT sweep_model_id, latency_s, error_class,"
        " CASE WHEN unusable_image THEN 'unusable_image' ELSE outcome END AS outcome"
        " FROM jobs LEFT JOIN runs ON runs.id = jobs.latest_run_id WHERE jobs.sweep_id = ?",
        sweep,
    ):
        jobs[row["sweep_model_id"]].append(row)
    return [
        Model(
            number=order[id],
            name=row["model"],
            summary=row,
            outcomes=Counter(job["outcome"] for job in jobs[id]),
            given_up=sum(
                job["outcome"] == Outcome.SKIPPED and job["error_class"] != "excluded"
                for job in jobs[id]
            ),
            remarks=remarks.get(id),
            latencies=[job["latency_s"] for job in jobs[id] if job["outcome"] == Outcome.OK],
            variants=[
                LoadAttempt(variant, asked[variant["model_id"]], workers.get(variant["id"], []))
                for variant in variants
                if first[variant["id"]] == id
            ],
        )
        for id, row in summary.items()
    ]


def read_workers(reader: Reader, sweep: int, numbers: Mapping[int, int]) -> dict[int, list[Worker]]:
    """The sweep's workers by the way they tried, with their memory over time."""
    rows = reader.records("SELECT * FROM workers WHERE sweep_id = ? ORDER BY number", sweep)
    samples: dict[int, list[Record]] = defaultdict(list)
    for row in reader.records(
        "SELECT memory_samples.* FROM memory_samples JOIN workers ON workers.id = worker_id"
        " WHERE sweep_id = ? ORDER BY worker_id, at_s",
        sweep,
    ):
        samples[row["worker_id"]].append(row)
    found = by_id(reader, "models", {row["model_id"] for row in rows})
    environments = by_id(reader, "environments", {row["environment_id"] for row in rows})
    out: dict[int, list[Worker]] = defaultdict(list)
    for row in rows:
        variant = row["sweep_model_id"]
        worker = Worker(
            row=row,
            model=numbers[variant],
            samples=samples[row["id"]],
            found=found[row["model_id"]],
            environment=environments.get(row["environment_id"]),
        )
        out[variant].append(worker)
    return out


def by_id(reader: Reader, table: str, ids: Iterable[int | None]) -> dict[int, Record]:
    """Rows of a table by number."""
    wanted = json.dumps(sorted(id for id in ids if id is not None))
    sql = f"SELECT * FROM {table} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    return {row["id"]: row for row in reader.records(sql, wanted)}


def read_cards(reader: Reader, sweep: int, numbers: Mapping[int, int]) -> list[ImageCard]:
    """Every answer, by the images and the prompt it is about."""
    shown: dict[int, list[int]] = defaultdict(list)
    for row in reader.records(
        "SELECT job_id, image_id FROM job_images JOIN jobs ON jobs.id = job_id"
        " WHERE jobs.sweep_id = ? ORDER BY job_id, job_images.position",
        sweep,
    ):
        shown[row["job_id"]].append(row["image_id"])
    rows = reader.records(ANSWERS, sweep)
    prompts = by_id(reader, "prompts", {row["prompt_id"] for row in rows})
    images = by_id(reader, "images", {id for ids in shown.values() for id in ids})
    scored = read_scores(reader, sweep)
    asked: dict[tuple[int, ...], dict[int, list[Record]]] = {}
    for row in rows:
        about = asked.setdefault(tuple(shown[row["job_id"]]), {})
        about.setdefault(row["prompt_id"], []).append(row)
    return [
        ImageCard(
            [images[id] for id in ids],
            [
                Question(prompts[id], answers(jobs, numbers, scored), accepted_of(jobs, scored))
                for id, jobs in questions.items()
            ],
        )
        for ids, questions in asked.items()
    ]


def accepted_of(jobs: Iterable[Record], scored: ScoreData) -> list[str]:
    """The answers accepted to a question, each once."""
    known = (scored.accepted.get(row["job_id"], []) for row in jobs)
    return list(dict.fromkeys(answer for accepted in known for answer in accepted))


def answers(
    jobs: Iterable[Record], numbers: Mapping[int, int], scored: ScoreData
) -> list[AnswerRow]:
    """A question's answers by model; equal repeats are counted as one."""
    same: dict[tuple[Any, ...], list[Record]] = {}
    for row in jobs:
        key = (numbers[row["sweep_model_id"]], row["outcome"], row["text"], row["message"])
        same.setdefault(key, []).append(row)
    out = [
        AnswerRow(
            model=key[0],
            row=rows[0],
            times=len(rows),
            fallback=rows[0]["variant_id"] not in (None, rows[0]["sweep_model_id"]),
            scored=scored.runs.get(rows[0]["run_id"]),
        )
        for key, rows in same.items()
    ]
    return sorted(out, key=lambda answer: answer.model)


def read_failures(reader: Reader, sweep: int, numbers: Mapping[int, int]) -> list[FailureGroup]:
    """Runs that failed, those put right later included; equal ones together, but for figures."""
    same: dict[tuple[Any, ...], list[Record]] = {}
    for row in reader.records(FAILED, sweep):
        variant = row["variant_id"] or row["sweep_model_id"]
        model = numbers[row["sweep_model_id"]]
        pattern = re.sub(r"[\d.,]+", "0", row["message"] or "")
        whose = (
            (model, variant, pattern) if not row["unusable_image"] else (None, None, row["message"])
        )
        same.setdefault((*whose, row["outcome"], row["phase"]), []).append(row)
    out = []
    for key, rows in same.items():
        ended = {row["job_id"]: row["ended"] for row in rows}
        names = dict.fromkeys(
            " · ".join(filter(None, (row["image"], row["prompt"]))) for row in rows
        )
        out.append(
            FailureGroup(
                model=key[0],
                row=rows[0],
                jobs=len(ended),
                recovered=sum(outcome == Outcome.OK for outcome in ended.values()),
                examples=list(names)[:EXAMPLES],
                log=log_tail(reader.path, rows[0]["log_path"]),
            )
        )
    return sorted(out, key=lambda failure: (failure.model or 0, failure.row["run_id"]))


def log_tail(database: Path, named: str | None) -> str | None:
    """The end of a worker's log, if it is in this database's log folder.

    A row that came from elsewhere may name any file of this machine: such a one stays shut.
    """
    if not named:
        return None
    try:
        path = Path(named).resolve()
        if not path.is_relative_to(files_folder(database)):
            return None
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            lines = file.read(LOG_BYTES).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return None
    return "\n".join(lines[-LOG_LINES:]).strip() or None


def read_environments(reader: Reader, sweep: Record, models: Iterable[Model]) -> list[Environment]:
    """The supervisor's environment, then those of workers, each with its models' numbers."""
    used: dict[int, set[int]] = {sweep["environment_id"]: set()}
    for model in models:
        for variant in model.variants:
            for worker in variant.workers:
                if worker.environment is not None:
                    used.setdefault(worker.environment["id"], set()).add(model.number)
    rows = by_id(reader, "environments", used)
    return [Environment(rows[id], sorted(numbers)) for id, numbers in used.items()]

"""Reads the queue for display: waiting and running sweeps, their progress and estimated end.

Which job runs next is decided in `runner.supervisor.queue`; both use the same order. End times are
estimated from past runs, and None for a model without any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, TypeVar, cast

from ..system.timestamps import format_timestamp
from .estimates import Estimate, estimate
from .liveness import GONE, gone_since
from .reader import Reader

Record = Mapping[str, Any]
SWEEPS = """
SELECT id AS number, name, uid, label, state, paused, priority, not_before,
    (SELECT ifnull(name, CAST(id AS TEXT)) FROM sweeps AS other
        WHERE other.id = sweeps.after_sweep_id
        AND other.state IN ('queued', 'running')) AS after, created_at, started_at
FROM sweeps WHERE (in_queue AND state <> 'done') OR state = 'running'
ORDER BY state <> 'running', priority DESC, rank, id
"""
MODELS = """
SELECT sweep_models.id, sweep_models.name AS model, sweep_models.paused, source, location, engine,
    (SELECT count(*) FROM jobs WHERE sweep_id = ?1 AND state = 'queued'
        AND sweep_model_id = sweep_models.id) AS waiting,
    (SELECT count(*) FROM jobs WHERE sweep_id = ?1 AND state = 'running'
        AND sweep_model_id = sweep_models.id) AS running,
    (SELECT count(*) FROM jobs WHERE sweep_id = ?1 AND state = 'done'
        AND sweep_model_id = sweep_models.id) AS done
FROM sweep_models JOIN models ON models.id = model_id
WHERE sweep_id = ?1 AND fallback_of IS NULL ORDER BY rank, position
"""
JOBS = """
SELECT jobs.id AS job, sweep_models.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = jobs.id) AS image,
    ifnull(prompts.name, prompts.text) AS prompt, repeat,
    CASE WHEN jobs.paused AND jobs.state = 'queued' THEN 'paused' ELSE jobs.state END AS state,
    runs.outcome, runs.attempt, runs.message
FROM jobs JOIN sweep_models ON sweep_models.id = sweep_model_id
JOIN prompts ON prompts.id = prompt_id LEFT JOIN runs ON runs.id = latest_run_id
WHERE jobs.sweep_id = ? AND (? OR jobs.state <> 'done')
ORDER BY sweep_models.rank, sweep_models.position, jobs.rank, jobs.position LIMIT ?
"""

HELD = ("paused", "pausing", "scheduled", "after", GONE)


class QueuedSweepRow(TypedDict):
    """A sweep in the queue: its jobs counted by state, and estimates in seconds."""

    number: int
    name: str | None
    uid: str
    label: str | None
    state: str
    paused: int
    priority: int
    not_before: str | None
    after: str | None
    created_at: str
    started_at: str | None
    gone_since: str | None
    waiting: int
    running: int
    done: int
    jobs: int
    models: int
    expected_s: float | None
    ends_at: str | None


class QueuedModelRow(TypedDict):
    """A model of a sweep: its jobs counted by state, and estimates in seconds."""

    id: int
    model: str
    paused: int
    engine: str
    waiting: int
    running: int
    done: int
    jobs: int
    expected_s: float | None
    state: str
    gone_since: str | None


class QueuedJobRow(TypedDict):
    """A job of a sweep, with its latest run."""

    job: int
    model: str
    image: str | None
    prompt: str
    repeat: int
    state: str
    gone_since: str | None
    outcome: str | None
    attempt: int | None
    message: str | None


def queue_sweeps(reader: Reader, now: datetime | None = None) -> list[QueuedSweepRow]:
    """A row per sweep in the queue, in the order in which they will be worked.

    `expected_s` is its remaining time, `ends_at` when that will be done by one worker if nothing
    else happens; both are None while some model of it was never run. A sweep that is held back
    (paused, waiting for an hour or another sweep, without its supervisor) has no end yet and delays
    no other.
    """
    now = now or datetime.now(UTC)
    moment: datetime | None = now
    known: dict[tuple[str, str], Estimate] = {}
    rows = cast(list[QueuedSweepRow], reader.records(SWEEPS))
    for row in rows:
        parts = model_rows(reader, row["number"], known)
        row["waiting"] = sum(part["waiting"] for part in parts)
        row["running"] = sum(part["running"] for part in parts)
        row["done"] = sum(part["done"] for part in parts)
        row["jobs"] = row["waiting"] + row["running"] + row["done"]
        row["models"] = len(parts)
        takes = [part["expected_s"] for part in parts if part["waiting"] + part["running"]]
        row["expected_s"] = sum_known(takes)
        soon = [part["expected_s"] for part in parts if part["state"] in ("waiting", "running")]
        row["gone_since"] = gone_since(reader, {"id": row["number"], **row})
        row["state"] = GONE if row["gone_since"] else state_of(row, now)
        row["ends_at"] = None
        if row["state"] not in HELD:
            seconds = sum_known(soon)
            moment = None if moment is None or seconds is None else moment + timedelta(0, seconds)
            held = any(part["state"] == "paused" for part in parts)
            row["ends_at"] = None if moment is None or held else format_timestamp(moment)
    return rows


def sum_known(seconds: Sequence[float | None]) -> float | None:
    """The sum; None if one of them is unknown."""
    known = [value for value in seconds if value is not None]
    return sum(known) if len(known) == len(seconds) else None


def state_of(row: QueuedSweepRow, now: datetime) -> str:
    """The state of a sweep in the queue: running, paused, waiting (for a time or sweep), queued."""
    if row["paused"]:
        return "pausing" if row["state"] == "running" and row["running"] else "paused"
    if row["state"] == "queued" and row["not_before"] and row["not_before"] > format_timestamp(now):
        return "scheduled"
    return "after" if row["state"] == "queued" and row["after"] else str(row["state"])


def queue_models(reader: Reader, sweep: Record) -> list[QueuedModelRow]:
    """A row per model of a sweep, with its jobs counted and the seconds it will likely take."""
    return with_gone_supervisor(reader, sweep, model_rows(reader, sweep["id"], {}))


def model_rows(
    reader: Reader, sweep: int, known: dict[tuple[str, str], Estimate]
) -> list[QueuedModelRow]:
    """The same with the stored states; `known` keeps estimates between calls."""
    records = reader.records(MODELS, sweep)
    places = [(row.pop("source"), row.pop("location")) for row in records]
    rows = cast(list[QueuedModelRow], records)
    for row, place in zip(rows, places, strict=True):
        if place not in known:
            known[place] = estimate(reader.connection, *place)
        left = row["waiting"] + row["running"]
        row["jobs"] = left + row["done"]
        row["expected_s"] = known[place].takes_s(left, loads=int(bool(row["waiting"])))
        row["state"] = "running" if row["running"] else "waiting" if row["waiting"] else "done"
        if row["paused"] and row["waiting"]:
            row["state"] = "paused"
    return rows


def queue_jobs(reader: Reader, sweep: Record, every: bool, limit: int) -> list[QueuedJobRow]:
    """A row per job of a sweep that is not done, or per `every` job, in order."""
    rows = cast(list[QueuedJobRow], reader.records(JOBS, sweep["id"], every, limit))
    return with_gone_supervisor(reader, sweep, rows)


QueueRow = TypeVar("QueueRow", QueuedModelRow, QueuedJobRow)


def with_gone_supervisor(reader: Reader, sweep: Record, rows: list[QueueRow]) -> list[QueueRow]:
    """The rows; what is stored as running is not, where the sweep's supervisor is gone."""
    since = gone_since(reader, sweep)
    for row in rows:
        row["gone_since"] = since if row["state"] == "running" else None
        row["state"] = GONE if row["gone_since"] else row["state"]
    return rows

"""The tables to copy with a sweep, the keys that identify their rows, and their references.

Definitions only: a new table is a line here, or a name in LEFT_OUT. How rows are carried over is
`runner.database.merge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MergeTable:
    """A table that travels.

    `keys` identify equal rows here and there; `refs` map a column to the table that it
    references. A row belongs to the one that its column `of` points to and travels with it; rows
    of tables without `of` are shared by all sweeps and travel when something points to them.

    `moves` are columns that may differ in rows that are the same: they change over time or with
    the place. `unset` are left empty. `finished` is a condition on `s`, the row there: what is
    unfinished is left out. A table without a number of its own is `bare`. A sweep is
    another one if it differs in a `firm` table.
    """

    name: str
    keys: tuple[str, ...]
    of: str | None = None
    refs: Mapping[str, str] = field(default_factory=dict)
    moves: frozenset[str] = frozenset()
    unset: frozenset[str] = frozenset()
    finished: str = "1"
    bare: bool = False
    firm: bool = False


def column_set(*names: str) -> frozenset[str]:
    """A set of columns."""
    return frozenset(names)


ROOT = "sweeps"
ENDED = (
    "s.worker_id IS NULL OR s.worker_id IN (SELECT id FROM there.workers WHERE ended_at NOT NULL)"
)

# In the order in which rows can be added: what is pointed to comes first.
TABLES = (
    MergeTable("environments", ("sha256",)),
    MergeTable("models", ("source", "location", "revision", "commit_hash", "fingerprint")),
    MergeTable(
        "images",
        ("path", "source_sha256", "max_side", "max_frames"),
        moves=column_set("prepared_path", "frame_paths", "error_class", "message", "notes"),
    ),
    MergeTable("prompts", ("sha256",)),
    MergeTable(
        ROOT,
        ("uid",),
        refs={"environment_id": "environments"},
        moves=column_set(
            *("state", "created_at", "started_at", "ended_at"),
            *("in_queue", "label", "priority", "rank", "paused", "not_before"),
        ),
        unset=column_set("after_sweep_id"),
        firm=True,
    ),
    MergeTable(
        "sweep_models",
        ("sweep_id", "name"),
        of="sweep_id",
        refs={"sweep_id": ROOT, "model_id": "models", "fallback_of": "sweep_models"},
        moves=column_set(
            "rank", "paused", "load_failures", "worker_failures", "away_since", "python"
        ),
        firm=True,
    ),
    MergeTable(
        "jobs",
        ("sweep_id", "position"),
        of="sweep_id",
        refs={
            "sweep_id": ROOT,
            "sweep_model_id": "sweep_models",
            "prompt_id": "prompts",
            "fallback_id": "sweep_models",
        },
        moves=column_set("state", "rank", "paused", "fallback_id"),
        unset=column_set("latest_run_id"),
        firm=True,
    ),
    MergeTable(
        "job_images",
        ("job_id", "position"),
        of="job_id",
        refs={"job_id": "jobs", "image_id": "images"},
        bare=True,
        firm=True,
    ),
    MergeTable(
        "workers",
        ("sweep_id", "number"),
        of="sweep_id",
        refs={
            "sweep_id": ROOT,
            "sweep_model_id": "sweep_models",
            "model_id": "models",
            "environment_id": "environments",
        },
        moves=column_set("log_path"),
        finished="s.ended_at NOT NULL",
    ),
    MergeTable(
        "runs",
        ("job_id", "attempt"),
        of="job_id",
        refs={"job_id": "jobs", "worker_id": "workers"},
        finished=f"s.outcome NOT NULL AND ({ENDED})",
    ),
    MergeTable(
        "memory_samples",
        ("worker_id", "at_s"),
        of="worker_id",
        refs={"worker_id": "workers"},
        bare=True,
    ),
    MergeTable("checks", ("run_id",), of="run_id", refs={"run_id": "runs"}, bare=True),
    MergeTable("reference_answers", ("job_id",), of="job_id", refs={"job_id": "jobs"}, bare=True),
    MergeTable("scores", ("run_id", "metric"), of="run_id", refs={"run_id": "runs"}, bare=True),
)
BY_NAME = {table.name: table for table in TABLES}

LEFT_OUT = {
    "database_token": "each database has its own",
    "requests": "requests to a queue do not apply to another one",
    "runs_fts": "an index, which the runs' own triggers keep",
    "prompts_fts": "an index, which the prompts' own triggers keep",
}

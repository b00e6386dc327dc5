"""One run with all stored facts about it, as a report needs them.

Reading only. Private values are removed when the report is written
(`runner.bug_report.redact`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from schemas.engines import AUTO, DEFAULT
from schemas.generation import Generation
from schemas.load_spec import LoadSpec
from schemas.shared.redact import MARGIN_BYTES, redact_tail

from ..database.load_options import read_load_spec
from ..database.reader import Reader
from ..errors import QueryError

Row = Mapping[str, Any]
TAIL_BYTES = 64_000


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run, its worker and environment (empty if none), and its inputs.

    `variant` and its load options `spec` are the requested load, `model` as it was
    requested, `found` as it was on disk.
    """

    run: Row
    variant: Row
    spec: LoadSpec
    model: Row
    found: Row
    worker: Row
    environment: Row
    supervisor: Row
    prompt: Row
    images: Sequence[Row]
    log: str

    @property
    def engine(self) -> str:
        """The engine used, or meant."""
        named = self.worker.get("engine") or self.spec.engine
        return DEFAULT if named == AUTO else str(named)

    @property
    def limits(self) -> dict[str, Any]:
        """The active limits."""
        return dict(json.loads(self.variant["limits"]))

    @property
    def generation(self) -> dict[str, Any]:
        """The generation settings that were given, those that we know, with the run's seed."""
        given = json.loads(self.variant["generation"])
        given["seed"] = self.run.get("seed", given.get("seed"))
        known = (field.name for field in fields(Generation))
        return {name: given[name] for name in known if given.get(name) is not None}

    @property
    def packages(self) -> dict[str, str]:
        """Versions of the libraries in use, where the worker came to tell them."""
        return dict(json.loads(self.environment.get("packages") or "{}"))


def find(reader: Reader, number: str, job: bool = False) -> RunRecord:
    """The case of a run, or with `job` of a job's latest. Raises QueryError with near misses."""
    key = "jobs.id" if job else "runs.id"
    latest = " AND runs.id = jobs.latest_run_id" if job else ""
    found = reader.records(
        f"SELECT runs.* FROM runs JOIN jobs ON jobs.id = job_id WHERE {key} = ?{latest}",  # noqa: S608
        int(number) if number.isdecimal() and len(number) < 16 else -1,
    )
    if not found:
        raise missing(reader, number, job)
    if found[0]["outcome"] is None:
        raise QueryError(f"run {found[0]['id']} has not ended yet", hint="ask again when it has")
    return case(reader, found[0])


def missing(reader: Reader, number: str, job: bool) -> QueryError:
    """No such run: what there is instead."""
    what = "job" if job else "run"
    if number.isdecimal() and not job:
        jobs = reader.records("SELECT latest_run_id FROM jobs WHERE id = ?", int(number[:15]))
        if jobs and jobs[0]["latest_run_id"] is not None:
            run = jobs[0]["latest_run_id"]
            return QueryError(
                f"there is no run {number}, but a job {number}",
                hint=f"its latest run: vlmsweep issue {run}, or --job {number}",
            )
    failed = reader.records(
        "SELECT runs.id, outcome, name FROM runs JOIN jobs ON jobs.id = job_id"
        " JOIN sweep_models ON sweep_models.id = sweep_model_id"
        " WHERE outcome NOT IN ('ok', 'skipped') ORDER BY runs.id DESC LIMIT 5"
    )
    listed = ", ".join(f"{row['id']} ({row['name']}: {row['outcome']})" for row in failed)
    hint = f"runs that failed last: {listed}" if listed else "no run has failed"
    return QueryError(f"there is no {what} {number!r}", hint=hint)


def case(reader: Reader, run: Row) -> RunRecord:
    """Read all stored facts about a run."""

    def one(table: str, key: Any) -> Row:
        rows = reader.records(f"SELECT * FROM {table} WHERE id = ?", key)  # noqa: S608
        return rows[0] if rows else {}

    job = one("jobs", run["job_id"])
    worker = one("workers", run["worker_id"])
    variant = one("sweep_models", worker.get("sweep_model_id", job["sweep_model_id"]))
    return RunRecord(
        run=run,
        variant=variant,
        spec=read_load_spec(variant["load_spec"]),
        model=one("models", variant["model_id"]),
        found=one("models", worker.get("model_id")),
        worker=worker,
        environment=one("environments", worker.get("environment_id")),
        supervisor=one("environments", one("sweeps", job["sweep_id"])["environment_id"]),
        prompt=one("prompts", job["prompt_id"]),
        images=reader.records(
            "SELECT images.* FROM job_images JOIN images ON images.id = image_id"
            " WHERE job_id = ? ORDER BY position",
            job["id"],
        ),
        log=log_tail(worker.get("log_path")),
    )


def log_tail(path: str | None) -> str:
    """The end of a worker's log; empty if it is gone."""
    try:
        with Path(path or "").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES - MARGIN_BYTES))
            return redact_tail(file.read(), TAIL_BYTES)
    except OSError:
        return ""

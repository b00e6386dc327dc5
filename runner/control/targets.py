"""Resolves names of sweeps, models and jobs to row ids. Reads the database only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..database.reader import Reader
from ..text.suggest import suggest
from .protocol import RequestError

Target = dict[str, Any]


def sweep(database: Path, named: str | None) -> int:
    """Return a sweep's row id; without a name, that of the latest. Raises QueryError."""
    with Reader(database) as reader:
        return int(reader.sweep(named)["id"])


def resolve_target(database: Path, sweep: str | None, model: str | None, job: int | None) -> Target:
    """Return the level and row id of the target. Raises RequestError and QueryError."""
    if job is not None:
        if sweep is not None or model is not None:
            raise RequestError("--job says it all: leave the sweep and --model out")
        return {"level": "job", "id": require_job(database, job)}
    if sweep is None:
        raise RequestError(
            "no target: give a sweep, or --job", hint="vlmsweep queue lists the sweeps"
        )
    with Reader(database) as reader:
        number = int(reader.sweep(sweep)["id"])
        if model is None:
            return {"level": "sweep", "id": number}
        return {"level": "model", "id": resolve_model(reader, number, model)}


def require_job(database: Path, job: int) -> int:
    """Return the job's id. Raises RequestError if the job does not exist."""
    with Reader(database) as reader:
        if not reader.records("SELECT 1 FROM jobs WHERE id = ?", job):
            raise RequestError(
                f"there is no job {job}", hint="vlmsweep queue list SWEEP --jobs shows them"
            )
    return job


def resolve_model(reader: Reader, sweep: int, named: str) -> int:
    """Return the row id of a sweep's model by its name or the end of it. Raises RequestError."""
    rows = reader.records(
        "SELECT id, name FROM sweep_models WHERE sweep_id = ? AND fallback_of IS NULL", sweep
    )
    exact = [row for row in rows if row["name"] == named]
    found = exact or [row for row in rows if row["name"].endswith("/" + named)]
    if len(found) == 1:
        return int(found[0]["id"])
    names = [row["name"] for row in rows]
    raise RequestError(
        f"that sweep has no model {named!r}{suggest(named, names)}",
        hint="it has " + ", ".join(names),
    )


def move(
    database: Path,
    sweep: str | None,
    model: str | None,
    job: int | None,
    to: str | None,
    before: str | None,
    priority: int | None,
) -> Target:
    """Return the arguments of `move`. Raises RequestError unless exactly one destination is
    given.
    """
    target = resolve_target(database, sweep, model, job)
    if sum(given is not None for given in (to, before, priority)) != 1:
        raise RequestError("where to? give one of --first, --last, --before and --priority")
    if priority is not None:
        if target["level"] != "sweep":
            raise RequestError("a priority is a sweep's: use --first, --last or --before")
        return target | {"priority": priority}
    if before is None:
        return target | {"to": to}
    if target["level"] == "sweep":
        other = resolve_target(database, before, None, None)
    elif target["level"] == "model":
        other = resolve_target(database, sweep, before, None)
    else:
        if not before.isdecimal():
            raise RequestError(f"{before!r} is not a job number")
        other = resolve_target(database, None, None, int(before))
    return target | {"to": "before", "before": other["id"]}

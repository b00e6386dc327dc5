"""Handlers of queue requests: add, pause, resume, cancel, retry, remove, prune.

Targets are row ids: the client resolves names. Runs are never deleted; a cancelled job gets a run
with outcome `skipped`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.states import SweepState

from ..database import sweep_writer
from ..database.merge import merge
from ..database.store import Store
from ..system.timestamps import utc_now
from .protocol import RequestError
from .registry import (
    TABLES,
    HandlerResult,
    QueueChange,
    action,
    failed_jobs_condition,
    jobs_condition,
    row_exists,
)


def merge_staged_sweep(store: Store, arguments: dict[str, Any]) -> None:
    """Merge a sweep's rows from the file in which the client staged them."""
    after = arguments.get("after_sweep_id")
    if after is not None and not row_exists(store, "sweep", after):
        raise RequestError("the sweep it is to come after is not there any more")
    for made in merge(
        store, Path(arguments["staging_path"]), uids=[arguments["uid"]], waiting=True
    ):
        if made.refused:
            raise RequestError(made.refused)


@action("add")
def add(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Put a merged sweep into the queue, with its label, priority and start condition.

    Its default name is numbered here: two terminals may have staged sweeps of one name.
    """
    row = store.connection.execute(
        "SELECT id, (SELECT count(*) FROM jobs WHERE sweep_id = sweeps.id AND state = 'queued')"
        " FROM sweeps WHERE uid = ?",
        [arguments["uid"]],
    ).fetchone()
    if row is None:
        raise RequestError("the sweep is not in the file it was staged in")
    sweep, jobs = row
    terms = ("label", "priority", "not_before", "after_sweep_id")
    store.update("sweeps", sweep, {"in_queue": 1} | {name: arguments[name] for name in terms})
    store.set_sweep_state(sweep, SweepState.QUEUED if jobs else SweepState.DONE)
    name = sweep_writer.number_default_name(store, sweep)
    return {"sweep": sweep, "uid": arguments["uid"], "name": name, "jobs": jobs}, QueueChange()


@action("pause")
def pause(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Pause a sweep, a model or a job; a current run continues to its end."""
    return set_paused(store, arguments, 1)


@action("resume")
def resume(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Resume a paused sweep, model or job."""
    return set_paused(store, arguments, 0)


def set_paused(store: Store, arguments: dict[str, Any], paused: int) -> HandlerResult:
    """Set whether jobs are paused. Finished ones are left alone: a retry would inherit the
    pause.
    """
    level = arguments["level"]
    open_ones = "1" if level == "model" else "state <> 'done'"
    changed = store.connection.execute(
        f"UPDATE {TABLES[level]} SET paused = ?1 WHERE id = ?2 AND paused <> ?1 AND {open_ones}",
        [paused, int(arguments["id"])],
    )
    return {"changed": changed.rowcount}, QueueChange()


@action("cancel")
def cancel(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Cancel queued jobs, each with a skipped run, and have running jobs killed."""
    condition, id = jobs_condition(arguments)
    now = utc_now()
    models = store.connection.execute(
        "SELECT sweeps.uid, sweep_models.name, count(*) FROM jobs"
        " JOIN sweep_models ON sweep_models.id = sweep_model_id"
        " JOIN sweeps ON sweeps.id = jobs.sweep_id"
        f" WHERE jobs.{condition} AND jobs.state = 'queued' GROUP BY sweep_model_id",
        [id],
    ).fetchall()
    store.connection.execute(
        "INSERT INTO runs (job_id, attempt, started_at, ended_at, outcome, error_class, message)"
        " SELECT id, ifnull((SELECT max(attempt) FROM runs WHERE job_id = jobs.id), 0) + 1, ?, ?,"
        " 'skipped', 'cancelled', 'cancelled by the user'"
        f" FROM jobs WHERE {condition} AND state = 'queued'",
        [now, now, id],
    )
    store.connection.execute(
        "UPDATE jobs SET state = 'done', latest_run_id = (SELECT id FROM runs"
        " WHERE job_id = jobs.id ORDER BY attempt DESC LIMIT 1)"
        f" WHERE {condition} AND state = 'queued'",
        [id],
    )
    running = store.connection.execute(
        f"SELECT id FROM jobs WHERE {condition} AND state = 'running'", [id]
    ).fetchall()
    finish_empty_sweeps(store)
    skipped = {(uid, name): count for uid, name, count in models}
    effect = QueueChange(frozenset(job for (job,) in running), skipped)
    return {"skipped": sum(skipped.values()), "killed": len(running)}, effect


@action("retry")
def retry(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Queue failed jobs again, cancelled ones too, but not those that a rule excludes."""
    condition, id = jobs_condition(arguments)
    queued = store.connection.execute(
        "UPDATE jobs SET state = 'queued', fallback_id = NULL, paused = 0"
        f" WHERE {failed_jobs_condition(arguments)[0]}",
        [id],
    ).rowcount
    found = store.connection.execute(
        "SELECT sweeps.id, in_queue OR sweeps.state = 'running', (SELECT count(*) FROM jobs"
        f" WHERE {condition} AND jobs.state = 'queued') FROM sweeps"
        f" WHERE sweeps.id = (SELECT sweep_id FROM jobs WHERE {condition} LIMIT 1)",
        [id, id],
    ).fetchone()
    if found is None:
        return {"queued": 0}, QueueChange()
    sweep, in_queue, waiting = found
    if not in_queue:  # an interrupted `run` was never in the queue; enqueue it now
        queued = waiting
    if queued:
        store.connection.execute(
            "UPDATE sweep_models SET worker_failures = 0, load_failures = 0 WHERE sweep_id = ?",
            [sweep],
        )
        store.connection.execute(
            "UPDATE sweeps SET state = 'queued', in_queue = 1, paused = paused AND state <> 'done'"
            " WHERE id = ? AND state <> 'running'",
            [sweep],
        )
    return {"queued": queued}, QueueChange(recounted=frozenset([sweep]))


@action("remove")
def remove(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Delete jobs that never ran; a sweep without any run is deleted as a whole."""
    condition, id = jobs_condition(arguments)
    never = f"{condition} AND state = 'queued' AND latest_run_id IS NULL"
    (ran,) = store.connection.execute(
        f"SELECT count(*) FROM jobs WHERE {condition} AND latest_run_id IS NOT NULL", [id]
    ).fetchone()
    if arguments["level"] == "sweep" and not ran:
        ensure_not_started(store, id)
    if ran and arguments["level"] != "model":
        raise RequestError(
            f"{ran} of its jobs have run, and runs are never deleted",
            hint="cancel its queued jobs: vlmsweep queue cancel",
        )
    store.connection.execute(
        f"DELETE FROM job_images WHERE job_id IN (SELECT id FROM jobs WHERE {never})", [id]
    )
    sweeps = store.connection.execute(f"SELECT sweep_id FROM jobs WHERE {never} LIMIT 1", [id])
    recounted = frozenset(row[0] for row in sweeps.fetchall())
    gone = store.connection.execute(f"DELETE FROM jobs WHERE {never}", [id]).rowcount
    if arguments["level"] == "sweep":
        store.connection.execute(
            "UPDATE sweeps SET after_sweep_id = NULL WHERE after_sweep_id = ?", [id]
        )
        store.connection.execute(
            "DELETE FROM sweep_models WHERE sweep_id = ? AND fallback_of IS NOT NULL", [id]
        )
        store.connection.execute("DELETE FROM sweep_models WHERE sweep_id = ?", [id])
        store.connection.execute("DELETE FROM sweeps WHERE id = ?", [id])
    finish_empty_sweeps(store)
    return {"removed": gone}, QueueChange(recounted=recounted)


def ensure_not_started(store: Store, sweep: int) -> None:
    """Raise RequestError if workers were started for a sweep: their records stay."""
    (begun,) = store.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM workers WHERE sweep_id = ?1)"
        " OR EXISTS (SELECT 1 FROM sweeps WHERE id = ?1 AND state = 'running')",
        [sweep],
    ).fetchone()
    if begun:
        raise RequestError(
            "it has started, and its records are never deleted",
            hint="cancel its queued jobs: vlmsweep queue cancel",
        )


def finish_empty_sweeps(store: Store) -> None:
    """Mark queued sweeps without jobs as done; a running one is ended by its supervisor."""
    store.connection.execute(
        "UPDATE sweeps SET state = 'done', ended_at = ? WHERE state IN ('queued', 'interrupted')"
        " AND NOT EXISTS (SELECT 1 FROM jobs WHERE sweep_id = sweeps.id"
        " AND jobs.state IN ('queued', 'running'))",
        [utc_now()],
    )


PRUNED_AT_ONCE = 20_000


@action("prune")
def prune(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Delete a batch of memory samples of workers that ended before a time; return their number."""
    gone = store.connection.execute(
        "DELETE FROM memory_samples WHERE (worker_id, at_s) IN (SELECT worker_id, at_s"
        " FROM memory_samples WHERE worker_id IN (SELECT id FROM workers WHERE ended_at < ?)"
        " LIMIT ?)",
        [arguments["ended_before"], PRUNED_AT_ONCE],
    )
    return {"deleted_samples": gone.rowcount}, QueueChange()

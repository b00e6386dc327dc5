"""Cleans up after a supervisor that crashed, before any new work starts.

Only the holder of the database's lock may call it: whatever still runs or claims to run is then
a leftover. Runs are never deleted: those that were under way become `interrupted`, and their
jobs are queued again, a bounded number of times.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.states import Outcome

from ..system.timestamps import utc_now
from . import score_writer
from .stale_processes import kill_stale_processes, read_marker
from .store import Store

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class RecoverySummary:
    """The cleanup: processes killed, runs marked interrupted, jobs queued again."""

    processes: int
    runs: int
    jobs: int


def recover(store: Store) -> RecoverySummary:
    """Kills leftover processes of this database's supervisors and closes their open runs."""
    open_runs = store.connection.execute(
        "SELECT id, CASE WHEN raw_text IS NULL AND ttft_s IS NULL THEN 'prefill' ELSE 'generate'"
        " END FROM runs WHERE outcome IS NULL"
    ).fetchall()
    open_workers = store.connection.execute(
        "SELECT count(*) FROM workers WHERE ended_at IS NULL"
    ).fetchone()[0]
    open_sweeps = store.connection.execute(
        "SELECT count(*) FROM sweeps WHERE state = 'running' OR (state = 'queued' AND NOT in_queue)"
    ).fetchone()[0]
    if not (open_runs or open_workers or open_sweeps):
        return RecoverySummary(0, 0, 0)
    killed = kill_stale_processes(read_marker(store.connection, store.path))
    with store.db.atomic():
        for run, phase in open_runs:
            row = {
                "outcome": Outcome.INTERRUPTED,
                "phase": phase,
                "message": DIED,
                "ended_at": utc_now(),
            }
            store.update("runs", run, row)
            score_writer.score_run(store.connection, run)
        store.connection.execute(
            "UPDATE workers SET ended_at = ?, message = ifnull(message, ?), waiting_for = NULL"
            " WHERE ended_at IS NULL",
            [utc_now(), DIED],
        )
        jobs = requeue_running_jobs(store)
        close_sweeps(store)
    return RecoverySummary(killed, len(open_runs), jobs)


DIED = "the supervisor died while this was under way"


def close_sweeps(store: Store) -> None:
    """Sweeps that were running, or not yet started by their `run`: done if no job remains,
    so that others need not wait for them; else they wait."""
    store.connection.execute(
        "UPDATE sweeps SET ended_at = ?, state = CASE WHEN NOT EXISTS (SELECT 1 FROM jobs"
        " WHERE sweep_id = sweeps.id AND jobs.state = 'queued') THEN 'done'"
        " WHEN in_queue THEN 'queued' ELSE 'interrupted' END"
        " WHERE state = 'running' OR (state = 'queued' AND NOT in_queue)",
        [utc_now()],
    )


def requeue_running_jobs(store: Store) -> int:
    """Queues running jobs again; one that repeatedly crashes its supervisor is given up."""
    store.connection.execute(
        "UPDATE jobs SET state = 'done' WHERE state = 'running' AND (SELECT count(*) FROM runs"
        " WHERE job_id = jobs.id AND message = ?) >= ?",
        [DIED, ATTEMPTS],
    )
    done = store.connection.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")
    return done.rowcount


def requeue_sweep(store: Store, sweep: int) -> int:
    """Queues every job of a sweep that did not end ok, but those that a rule excludes.

    Each restarts with the first variant of its model; paused jobs are no longer paused.
    """
    with store.db.atomic():
        done = store.connection.execute(
            "UPDATE jobs SET state = 'queued', fallback_id = NULL WHERE sweep_id = ?"
            " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = latest_run_id"
            " AND (outcome = 'ok' OR error_class = 'excluded'))",
            [sweep],
        )
        store.connection.execute(
            "UPDATE sweep_models SET worker_failures = 0, load_failures = 0, paused = 0"
            " WHERE sweep_id = ?",
            [sweep],
        )
        store.update("sweeps", sweep, {"paused": 0})
        store.connection.execute(
            "UPDATE jobs SET paused = 0 WHERE sweep_id = ? AND state = 'queued'", [sweep]
        )
    return done.rowcount

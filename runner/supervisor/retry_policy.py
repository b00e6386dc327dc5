"""Retry policy, by error class.

A transient failure (slow load, network, busy server) is retried with the same variant, up to
`limits.retries` times. A failure that the job or the model causes goes to the fallback, if there is
one, or stands. A cancelled job is not retried.

    interrupted                      retried when the queue continues; cancelled: never
    network, server_error            retried; after a pause if the model could not be loaded
    the server cannot answer         retried, not counted, until limits.server_away_s have passed
    no_process                       the same: the system could not create the worker
    timeout in start or load         retried in a new worker
    all others                       fallback, or never
"""

from __future__ import annotations

from schemas.rows import Runs
from schemas.states import Outcome, Phase

from ..database.store import Store
from . import server_away
from .queue import QueuedModel

PASSING = ("network", "server_error", "no_process")
SLOW_LOAD = (Phase.START, Phase.LOAD)
PAUSE_S = 30.0


def is_transient(row: Runs) -> bool:
    """Return whether the failure, in columns of a run, is transient."""
    slow_load = row.get("outcome") == Outcome.TIMEOUT and row.get("phase") in SLOW_LOAD
    return slow_load or row.get("error_class") in PASSING


def retry_run(store: Store, model: QueuedModel, job: int, row: Runs) -> tuple[bool, int | None]:
    """Return whether a failed run's job is queued again, and with which fallback, if any."""
    if row["outcome"] == Outcome.INTERRUPTED:
        return row.get("error_class") != "cancelled", None
    if row["outcome"] == Outcome.SKIPPED:
        return False, None
    if row.get("requeued"):
        if server_away.rest_s(store, model) is not None:
            return True, None
        return model.next_variant is not None, model.next_variant
    if is_transient(row):
        (before,) = store.connection.execute(
            "SELECT count(*) FROM runs WHERE job_id = ? AND error_class IS ? AND outcome = ?"
            " AND NOT requeued",
            [job, row.get("error_class"), row["outcome"]],
        ).fetchone()
        if before < model.limits.retries:
            return True, None
    return model.next_variant is not None, model.next_variant


def retry_load_after_s(store: Store, model: QueuedModel, row: Runs) -> float | None:
    """Return seconds until a failed load is retried; None if it is not."""
    if not is_transient(row) or store.increment(model.id, "load_failures") > model.limits.retries:
        return None
    return PAUSE_S if row.get("error_class") in PASSING else 0.0

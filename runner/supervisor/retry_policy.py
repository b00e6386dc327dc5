"""What is tried again, and how often: by the class of what went wrong.

A failure that may pass - a slow load, a network, a busy server - is tried again in the same way, a
bounded number of times (`limits.retries`). One that the job or the model causes is not: it goes to
the next way to load the model, if the sweep names one, or it stands. What a person stopped waits.

    interrupted                      again, when the queue goes on; cancelled: never
    network, server_error            again, after a pause when the model could not be had
    the server cannot answer         again, not counted, until limits.server_away_s have passed
    no_process                       the same: the system had no room for a worker
    timeout in start or load         again, in a fresh worker
    every other                      next way, or never
"""

from __future__ import annotations

from typing import Any

from schemas.states import Outcome, Phase

from ..database.store import Store
from . import server_away
from .queue import QueuedModel

PASSING = ("network", "server_error", "no_process")
SLOW_LOAD = (Phase.START, Phase.LOAD)
PAUSE_S = 30.0


def is_transient(row: dict[str, Any]) -> bool:
    """Whether a failure, in columns of a run, may be gone the next time."""
    slow_load = row.get("outcome") == Outcome.TIMEOUT and row.get("phase") in SLOW_LOAD
    return slow_load or row.get("error_class") in PASSING


def retry_run(
    store: Store, model: QueuedModel, job: int, row: dict[str, Any]
) -> tuple[bool, int | None]:
    """Whether a job whose run failed is queued again, and in which other way, if in another."""
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


def retry_load_after_s(store: Store, model: QueuedModel, row: dict[str, Any]) -> float | None:
    """Seconds after which a load that failed is tried again; None when it is not."""
    if not is_transient(row) or store.increment(model.id, "load_failures") > model.limits.retries:
        return None
    return PAUSE_S if row.get("error_class") in PASSING else 0.0

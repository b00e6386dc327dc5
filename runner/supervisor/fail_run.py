"""Ends a run that is not ok, and decides whether its job is queued again."""

from __future__ import annotations

from schemas.rows import Runs
from schemas.states import Outcome

from ..database.store import Store
from ..system.log import get_logger
from . import outcome, retry_policy
from .memory_tracker import PeakMemory
from .queue import QueuedModel
from .run_recorder import RunRecorder

log = get_logger(__name__)


def fail_run(
    store: Store,
    model: QueuedModel,
    running: RunRecorder,
    row: Runs,
    *,
    peak: PeakMemory | None,
    cancelled: bool,
) -> None:
    """Store a failed run; a `cancelled` job is not retried."""
    if cancelled and row["outcome"] == Outcome.INTERRUPTED:
        row = row | outcome.CANCELLED
    again, variant = retry_policy.retry_run(store, model, running.job.id, row)
    if cancelled:
        again, variant = False, None
    if row.get("requeued"):
        row = row | {"requeued": int(again and variant is None)}
    details = (row["outcome"], row.get("message"), again, variant)
    log.info("run %d: %s: %s; retried: %s, fallback: %s", running.id, *details)
    running.fail(row, peak, again, variant)

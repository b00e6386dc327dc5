"""Queues failed jobs again, after preparing those of their images whose files were deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..control.client import send_request
from ..control.registry import failed_jobs_condition
from ..database.reader import Reader
from ..database.store import files_folder
from ..image_prep.restore import NEEDED, reprepare


def retry(database: Path, target: dict[str, Any]) -> dict[str, Any]:
    """Asks for what failed to be queued again, its images made first: a supervisor that works
    has no time for that, and may have pruned them."""
    condition, id = failed_jobs_condition(target)
    with Reader(database) as reader:
        rows = [tuple(row.values()) for row in reader.records(f"{NEEDED} {condition}", id)]
    for row in rows:
        reprepare(row, files_folder(database) / "images")
    return send_request(database, "retry", target)

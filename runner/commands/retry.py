"""Queues failed jobs again, after preparing missing images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..control.client import send_request
from ..control.registry import failed_jobs_condition
from ..database.file_names import files_folder
from ..database.reader import Reader
from ..image_prep.restore_images import SELECT_IMAGES, restore_image


def retry_jobs(database: Path, target: dict[str, Any]) -> dict[str, Any]:
    """Request that failed jobs be queued again, and return the reply.

    Missing images are prepared here first, so that a working supervisor is not delayed.
    Raises what `runner.control.client.send_request` raises.
    """
    condition, id = failed_jobs_condition(target)
    with Reader(database) as reader:
        rows = [tuple(row.values()) for row in reader.records(f"{SELECT_IMAGES} {condition}", id)]
    for row in rows:
        restore_image(row, files_folder(database) / "images")
    return send_request(database, "retry", target)

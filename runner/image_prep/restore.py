"""Prepares images again that a stored sweep needs and whose files were deleted.

An image is identified by its source's content. If the source has changed since, its jobs cannot
run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from schemas.image import PreparedImage

from ..database.store import Store, canonical_json
from ..text.sanitize import display_path
from . import prepare

NEEDED = """
SELECT DISTINCT images.id, path, source_sha256, max_side, prepared_path, frame_paths
FROM images JOIN job_images ON image_id = images.id JOIN jobs ON jobs.id = job_id
WHERE images.error_class IS NULL AND
"""


def restore_images(store: Store, sweep: int, on_idle: Callable[[], None]) -> None:
    """Makes what a sweep's queued jobs need, and says in their rows where it is now."""
    rows = store.connection.execute(
        f"{NEEDED} sweep_id = ? AND state = 'queued'", [sweep]
    ).fetchall()
    for row in rows:
        on_idle()
        made = reprepare(row, store.folder("images"))
        if made is not None:
            store.update("images", row[0], image_row(made, row[2]))


def reprepare(row: Sequence[Any], folder: Path) -> PreparedImage | None:
    """The image of a row, prepared anew; None where it lies where it should."""
    _, path, _, max_side, prepared, frames = row
    wanted = [Path(name) for name in (json.loads(frames) if frames else [prepared]) if name]
    if wanted and all(one.is_file() for one in wanted):
        return None
    (made,) = prepare.prepare(
        [Path(path)], max_side=max_side, max_frames=max(1, len(wanted)), folder=folder
    )
    return made


def image_row(made: PreparedImage, digest: str) -> dict[str, Any]:
    """What the row of an image is to say."""
    if made.source_sha256 != digest or made.error_class is not None:
        message = "has changed since it was asked about"
        return {"error_class": "not_found", "message": message}
    frames = [display_path(path) for path in made.frame_paths]
    return {
        "prepared_path": made.prepared_path and display_path(made.prepared_path),
        "frame_paths": canonical_json(frames) if frames else None,
    }

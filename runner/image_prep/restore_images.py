"""Prepares deleted images of a stored sweep again.

An image is identified by its source's content: if the source has changed, the image cannot be
prepared again, and the jobs that use it fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from schemas.image import PreparedImage

from ..database.store import Store, canonical_json
from ..text.sanitize import display_path
from .prepare import prepare_images

SELECT_IMAGES = """
SELECT DISTINCT images.id, path, source_sha256, max_side, prepared_path, frame_paths
FROM images JOIN job_images ON image_id = images.id JOIN jobs ON jobs.id = job_id
WHERE images.error_class IS NULL AND
"""


def restore_images(store: Store, sweep: int, on_idle: Callable[[], None]) -> None:
    """Prepares the images of a sweep's queued jobs that are missing, and updates their rows.

    `on_idle` is called before each image.
    """
    rows = store.connection.execute(
        f"{SELECT_IMAGES} sweep_id = ? AND state = 'queued'", [sweep]
    ).fetchall()
    for row in rows:
        on_idle()
        image = restore_image(row, store.folder("images"))
        if image is not None:
            store.update("images", row[0], image_columns(image, row[2]))


def restore_image(row: Sequence[Any], folder: Path) -> PreparedImage | None:
    """Prepare the image of a row of SELECT_IMAGES; None if its files exist.

    Raises ImageFolderError and DecoderError.
    """
    _, path, _, max_side, prepared, frames = row
    files = [Path(name) for name in (json.loads(frames) if frames else [prepared]) if name]
    if files and all(file.is_file() for file in files):
        return None
    (image,) = prepare_images(
        [Path(path)], max_side=max_side, max_frames=max(1, len(files)), folder=folder
    )
    return image


def image_columns(image: PreparedImage, sha256: str) -> dict[str, Any]:
    """Return the columns to update; an error if the source no longer has the hash `sha256`."""
    if image.source_sha256 != sha256 or image.error_class is not None:
        message = "the file has changed since the sweep was stored"
        return {"error_class": "not_found", "message": message}
    frames = [display_path(path) for path in image.frame_paths]
    return {
        "prepared_path": image.prepared_path and display_path(image.prepared_path),
        "frame_paths": canonical_json(frames) if frames else None,
    }

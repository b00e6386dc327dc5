"""The free space of a disk."""

from __future__ import annotations

import shutil
from pathlib import Path


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the disk of a folder, existing or not; None if unknown."""
    for place in (folder, *folder.parents):
        try:
            usage = shutil.disk_usage(place)
        except OSError:
            continue
        return usage.free if usage.total else None  # /proc and /sys have no size
    return None

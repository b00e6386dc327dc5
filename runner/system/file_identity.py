"""The identity of a file or folder, independent of its path."""

from __future__ import annotations

from pathlib import Path


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of a file or folder; None if it cannot be reached."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

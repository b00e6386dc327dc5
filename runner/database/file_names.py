"""Names of the files next to a database. All are derived from its full name, so that `x.db` and
`x.sqlite` share none."""

from __future__ import annotations

import os
from pathlib import Path


def canonical_path(database: Path) -> Path:
    """Return a database's path with all links resolved; everything next to it goes by this path."""
    return Path(os.path.realpath(database))


def lock_file(database: Path) -> Path:
    """Return the file that a database's supervisor holds locked."""
    return file_beside(database, ".lock")


def files_folder(database: Path) -> Path:
    """Return the folder for logs, prepared images and other files of a database."""
    return file_beside(database, ".files")


def file_beside(database: Path, end: str) -> Path:
    """Return a database's path with an addition to its name."""
    path = canonical_path(database)
    return path.with_name(path.name + end)

"""Where a database's supervisor listens: a socket beside the file, found by its path alone.

A socket's path may have about a hundred bytes only, and some file systems have no sockets; then it
lies in a folder of the user's own under /tmp.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from ..database.lock import canonical_path

LONGEST = 100
SHARED = Path("/tmp")


def path_beside_database(database: Path) -> Path | None:
    """Beside the database, where its path is short enough."""
    place = canonical_path(database)
    path = place.with_name(place.name + ".sock")
    return path if len(os.fsencode(path)) <= LONGEST else None


def path_in_tmp(database: Path) -> Path:
    """In the user's own folder, by the database's path."""
    digest = hashlib.sha256(os.fsencode(canonical_path(database))).hexdigest()
    return SHARED / f"vlmsweep-{os.getuid()}" / f"{digest[:24]}.sock"


def candidate_paths(database: Path) -> list[Path]:
    """Where to look, in this order."""
    return [
        place
        for place in (path_beside_database(database), path_in_tmp(database))
        if place is not None
    ]


def ensure_private_folder(folder: Path) -> bool:
    """Whether a folder is ours and nobody else may enter it; made if need be."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    private = stat.S_IMODE(found.st_mode) & 0o077 == 0
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and private

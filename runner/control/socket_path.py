"""The path of the control socket, next to the database file.

A socket path is limited to about 100 bytes, and some file systems do not support sockets; then it
is in a private folder of the user under /tmp.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from ..database.file_names import canonical_path

LONGEST = 100
SHARED = Path("/tmp")


def path_beside_database(database: Path) -> Path | None:
    """Return the path next to the database, or None if it is too long."""
    place = canonical_path(database)
    path = place.with_name(place.name + ".sock")
    return path if len(os.fsencode(path)) <= LONGEST else None


def path_in_tmp(database: Path) -> Path:
    """Return the path in the user's private folder, derived from the database path."""
    digest = hashlib.sha256(os.fsencode(canonical_path(database))).hexdigest()
    return SHARED / f"vlmsweep-{os.getuid()}" / f"{digest[:24]}.sock"


def candidate_paths(database: Path) -> list[Path]:
    """Return the possible paths, the preferred first."""
    return [
        place
        for place in (path_beside_database(database), path_in_tmp(database))
        if place is not None
    ]


def ensure_private_folder(folder: Path) -> bool:
    """Create the folder if necessary; return whether only this user may enter it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    private = stat.S_IMODE(found.st_mode) & 0o077 == 0
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and private

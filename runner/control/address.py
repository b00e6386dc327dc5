"""Where a database's supervisor listens: a socket beside the file, found by its path alone.

A socket's path may have about a hundred bytes only, and some file systems have no sockets; then it
lies in a folder of the user's own under /tmp.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from ..database.holder import real

LONGEST = 100
SHARED = Path("/tmp")


def beside(database: Path) -> Path | None:
    """Beside the database, where its path is short enough."""
    place = real(database)
    path = place.with_name(place.name + ".sock")
    return path if len(os.fsencode(path)) <= LONGEST else None


def aside(database: Path) -> Path:
    """In the user's own folder, by the database's path."""
    digest = hashlib.sha256(os.fsencode(real(database))).hexdigest()
    return SHARED / f"vlmsweep-{os.getuid()}" / f"{digest[:24]}.sock"


def places(database: Path) -> list[Path]:
    """Where to look, in this order."""
    return [place for place in (beside(database), aside(database)) if place is not None]


def own_folder(folder: Path) -> bool:
    """Whether a folder is ours and nobody else may enter it; made if need be."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    private = stat.S_IMODE(found.st_mode) & 0o077 == 0
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and private

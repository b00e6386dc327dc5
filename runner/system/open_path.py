"""The present path of an open file, which may have been moved."""

from __future__ import annotations

import os
import sys
from pathlib import Path

F_GETPATH = 50  # macOS


def path_of_descriptor(descriptor: int) -> Path | None:
    """The path of an open file; None if the system does not tell, or it was deleted."""
    try:
        if sys.platform == "darwin":
            import fcntl

            raw = fcntl.fcntl(descriptor, F_GETPATH, b"\0" * 1024)
            path = Path(os.fsdecode(raw.rstrip(b"\0")))
        else:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - any bytes
        return path if os.path.samestat(path.stat(), os.fstat(descriptor)) else None
    except OSError:
        return None

"""Writes a file so that under its name it is either complete or absent, also after a power cut.

Standard library only: the image decoder's process uses it, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` when the block ends without an exception.

    `private`: only the user may read it. Raises OSError; what was at `path` then stays.
    """
    with atomic_path(path) as temporary:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o600 if private else 0o666), "wb") as file:
            yield file


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder; the file written there replaces `path` at the end.

    File and folder are flushed to disk. The temporary file is deleted after an exception.
    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
        with suppress(OSError):  # not every file system can flush a folder
            flush_to_disk(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

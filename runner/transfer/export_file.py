"""The file that an export writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..system.atomic_write import atomic_write
from . import ExchangeError


@contextmanager
def open_export_file(path: Path, database: Path) -> Iterator[BinaryIO]:
    """A file that replaces `path` when it is complete.

    Raises ExchangeError when it cannot be written, or when `path` is the database.
    """
    if path.is_dir():
        raise ExchangeError(f"{path} is a folder: name a file")
    if path.exists() and path.samefile(database):
        raise ExchangeError(f"{path} is the database itself: name another file")
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise ExchangeError(f"cannot write {path}: {error.strerror or error}") from error

"""Writes a file so that under its name it is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import ExchangeError


@contextmanager
def atomic_write(path: Path, database: Path) -> Iterator[IO[bytes]]:
    """A file that is put under its name at the end. Raises ExchangeError when that cannot be."""
    if path.is_dir():
        raise ExchangeError(f"{path} is a folder: name a file")
    if path.exists() and path.samefile(database):
        raise ExchangeError(f"{path} is the database itself: name another file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise ExchangeError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)

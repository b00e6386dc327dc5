"""A copy of the database as it is at one moment, whole and packed, while others go on writing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from ..errors import DatabaseError
from .reader import Reader, connect


def backup(database: Path, copy: Path, replace: bool = False) -> int:
    """Writes the copy, by VACUUM INTO, and looks whether it is sound; returns its size in bytes.

    Images and logs beside the database are not in it. Raises DatabaseError; a copy that did not
    become whole is not left behind.
    """
    Reader(database).connection.close()  # says so when it is none of ours
    if copy.exists() and not replace:
        raise DatabaseError(f"{copy} is there already", hint="give --replace to write over it")
    if copy.exists() and copy.samefile(database):
        raise DatabaseError(f"{copy} is the database itself")
    half = copy.with_name(f".{copy.name}.{os.getpid()}.tmp")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with closing(connect(database)) as connection:
            connection.execute("PRAGMA query_only = OFF")  # of no use to a file opened to be read
            connection.execute("VACUUM INTO ?", [str(half)])
        with closing(sqlite3.connect(half)) as connection:
            (sound,) = connection.execute("PRAGMA quick_check").fetchone()
        if sound != "ok":
            raise DatabaseError(f"the copy of {database} is not sound: {sound}")
        half.replace(copy)
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(f"cannot copy {database} to {copy}: {error}") from error
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
    return copy.stat().st_size

"""A copy of the database as it is at one moment, whole and packed, while others go on writing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ..errors import DatabaseError
from ..system.atomic_write import atomic_path
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
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(copy) as temporary:
            temporary.unlink(missing_ok=True)  # VACUUM INTO wants a new file
            with closing(connect(database)) as connection:
                connection.execute("PRAGMA query_only = OFF")  # the file itself is opened read-only
                connection.execute("VACUUM INTO ?", [str(temporary)])
            with closing(sqlite3.connect(temporary)) as connection:
                (check,) = connection.execute("PRAGMA quick_check").fetchone()
            if check != "ok":
                raise DatabaseError(f"the copy of {database} is damaged: {check}")
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(f"cannot copy {database} to {copy}: {error}") from error
    return copy.stat().st_size

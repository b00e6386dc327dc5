"""Browses the history in a web browser: Datasette on the file, in a process of its own.

`server` is that process, `pages` what it is told of our tables and queries, `plugin` what cells
look like, `images` the thumbnails, `guard` who may ask. The file is opened for reading only, so
a sweep may run meanwhile; nothing is written anywhere. Datasette is an extra.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sqlite3
import subprocess
import webbrowser
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from .. import own_packages
from ..database.reader import Reader
from ..errors import DatabaseError, VlmsweepError

GRACE_S = 5.0


def browse(database: Path, port: int | None, open_page: bool, say: Callable[[str], None]) -> int:
    """Serves the file until Ctrl-C; `say` is told the address. Returns an exit code.

    Raises VlmsweepError when Datasette is missing, the file is none of ours or the port is taken.
    """
    if importlib.util.find_spec("datasette") is None:
        raise VlmsweepError(
            "browsing needs Datasette, which is not installed",
            hint="pip install 'vlmsweep[browse]'",
        )
    check_readable(database)
    command = own_packages.command("runner.web.server", str(database), str(port or 0))
    # A session of its own, so that Ctrl-C reaches us alone; it ends when its input does.
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, search_path()))},
    )
    try:
        address = read_server_address(child)
        say(address)
        if open_page and has_display():
            webbrowser.open(address)
        return child.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        stop(child)


def check_readable(database: Path) -> None:
    """Whether the file can be read for as long as it takes. Raises DatabaseError.

    Our own readers, short-lived, read a file whose folder they may not write to as one that
    cannot change. A page that stays open must not: a sweep may begin meanwhile.
    """
    Reader(database).connection.close()  # is it there, and ours?
    try:
        connection = sqlite3.connect(database.absolute().as_uri() + "?mode=ro", uri=True)
        with closing(connection):
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise DatabaseError(
            f"{database} cannot be browsed where it lies: {error}",
            hint="SQLite wants to write beside it; browse a copy in a folder of yours",
        ) from error


def search_path() -> list[str]:
    """Where the child finds our packages: beside this one, whatever folder we were started in."""
    return [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]


def read_server_address(child: subprocess.Popen[bytes]) -> str:
    """The address the child serves at, or its error as ours."""
    assert child.stdout
    line = child.stdout.readline()
    message: dict[str, Any] = {}
    with suppress(ValueError):
        message = json.loads(line)
    if "url" in message:
        return str(message["url"])
    raise VlmsweepError(
        message.get("error", "Datasette did not start; its output is above"), message.get("hint")
    )


def has_display() -> bool:
    """Whether a browser would open a window, and not take over the terminal."""
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ends the child: politely, then not."""
    assert child.stdin
    assert child.stdout
    child.stdin.close()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()

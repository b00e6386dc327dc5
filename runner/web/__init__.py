"""Browses the history in a web browser: Datasette on the file, in a separate process.

`server` is that process, `metadata` describes tables and queries, `plugin` renders cells,
`images` makes thumbnails, `host_guard` refuses other hosts. The file is opened for reading only, so
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
    """Serves the file until Ctrl-C; `say` gets the address. Returns an exit code.

    Raises VlmsweepError when Datasette is missing, the file is unreadable or the port is taken.
    """
    if importlib.util.find_spec("datasette") is None:
        raise VlmsweepError(
            "browsing needs Datasette, which is not installed",
            hint="pip install 'vlmsweep[browse]'",
        )
    check_readable(database)
    command = own_packages.command("runner.web.server", str(database), str(port or 0))
    # In a new session, so that Ctrl-C reaches only us; it ends when its input does.
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
    """Checks that the file can be read while a page stays open. Raises DatabaseError.

    Our short-lived readers open a file in a read-only folder as immutable. A page that stays open
    must not: a sweep may start meanwhile.
    """
    Reader(database).connection.close()  # raises DatabaseError if it is missing or another file
    try:
        connection = sqlite3.connect(database.absolute().as_uri() + "?mode=ro", uri=True)
        with closing(connection):
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise DatabaseError(
            f"{database} cannot be browsed in its folder: {error}",
            hint="SQLite must write to that folder; browse a copy in a writable folder",
        ) from error


def search_path() -> list[str]:
    """The child's PYTHONPATH: the folder of this installation, then the user's."""
    return [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]


def read_server_address(child: subprocess.Popen[bytes]) -> str:
    """Returns the child's address. Raises VlmsweepError with the child's error."""
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

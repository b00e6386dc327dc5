"""Finds and kills the processes that a dead supervisor of a database left running.

Each worker has a marker in its environment: the database's random token and its path. The path
alone does not identify them: a user may export it, another container may have the same one. The
token alone does not either: a copy of the database has it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import psutil

VARIABLE = "VLMSWEEP_DATABASE"
GONE_S = 5.0


def read_marker(connection: sqlite3.Connection, database: Path) -> str:
    """Return the value of VARIABLE in the workers of an open database."""
    (token,) = connection.execute("SELECT token FROM database_token").fetchone()
    return f"{token}:{database}"


def marked_processes(marker: str) -> list[psutil.Process]:
    """Return the running processes of this user with that marker in their readable environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if (
                process.environ().get(VARIABLE) == marker
                and {*process.uids()} == {os.getuid()}
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


def kill_stale_processes(marker: str) -> int:
    """Kill the processes with that marker, except those that we depend on; return their number."""
    spared = own_processes()
    found = [process for process in marked_processes(marker) if process.pid not in spared]
    for process in found:
        with suppress(psutil.Error):  # psutil checks that the pid is still the same process
            process.kill()
    psutil.wait_procs(found, timeout=GONE_S)
    return len(found)


def own_processes() -> set[int]:
    """Return the pids of this process, its ancestors, and the leader of its session."""
    mine = psutil.Process()
    with suppress(psutil.Error):
        return {mine.pid, os.getsid(0), *(parent.pid for parent in mine.parents())}
    return {mine.pid, os.getsid(0), os.getppid()}

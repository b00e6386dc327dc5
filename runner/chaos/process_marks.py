"""Finds a trial's remaining processes, anywhere on the machine, and kills them.

A trial's processes carry a mark that no other process has, on their command line or in their
environment. Parents and groups are not used, because faults escape from those.
"""

from __future__ import annotations

import os
import secrets
import time

import psutil

VARIABLE = "VLMSWEEP_CHAOS"


def new_mark() -> str:
    """A mark that nothing on this machine carries."""
    return f"vlmsweep-chaos-{secrets.token_hex(8)}"


def marked_processes(mark: str) -> list[psutil.Process]:
    """Living processes of this user that carry the mark, this one left out."""
    found = []
    for process in psutil.process_iter():
        if process.pid != os.getpid() and has_mark(process, mark):
            found.append(process)
    return found


def has_mark(process: psutil.Process, mark: str) -> bool:
    """True if a process carries the mark; False for a zombie or an unreadable process."""
    try:
        if hasattr(os, "getuid") and process.uids().real != os.getuid():
            return False
        if any(mark in argument for argument in process.cmdline()):
            return True
        return process.environ().get(VARIABLE) == mark
    except (psutil.Error, OSError):
        return False


def wait_for(mark: str, count: int, limit_s: float) -> list[psutil.Process]:
    """Waits until `count` processes carry the mark, or none for 0; returns those that do."""
    deadline = time.monotonic() + limit_s
    while True:
        found = marked_processes(mark)
        enough = len(found) >= count if count else not found
        if enough or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def kill_marked(mark: str, limit_s: float = 5.0) -> int:
    """Kills the processes with the mark until none is left; returns the number that remain.

    psutil identifies a process by pid and start time, so no other can be hit.
    """
    deadline = time.monotonic() + limit_s
    while (left := marked_processes(mark)) and time.monotonic() < deadline:
        for process in left:
            try:
                process.kill()
            except psutil.Error:
                continue
        time.sleep(0.01)
    return len(left)

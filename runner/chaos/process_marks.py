"""Finds what is left of a trial, anywhere on the machine, and clears it away.

A trial's processes carry a mark that no other process has, on their command line or in their
environment. Parents and groups are not looked at, for those are what a fault escapes from.
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
    """Whether a process is ours: a zombie, or somebody else's, is not."""
    try:
        if hasattr(os, "getuid") and process.uids().real != os.getuid():
            return False
        if any(mark in argument for argument in process.cmdline()):
            return True
        return process.environ().get(VARIABLE) == mark
    except (psutil.Error, OSError):
        return False


def wait_for(mark: str, count: int, limit_s: float) -> list[psutil.Process]:
    """Waits until so many carry the mark, or exactly none for 0; returns those that do."""
    deadline = time.monotonic() + limit_s
    while True:
        found = marked_processes(mark)
        enough = len(found) >= count if count else not found
        if enough or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def kill_marked(mark: str, limit_s: float = 5.0) -> int:
    """Kills all that carry the mark until none is left; returns how many there are still.

    A process is known by number and birth (psutil sees to that), so no other can be hit.
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

"""Kills processes that a worker left running because its shim died.

While a worker runs we are a subreaper (Linux), so that processes of a dead shim become our
children, even if they changed session and environment. Elsewhere only processes with the worker's
token are found. `runner.database.recovery` handles processes of a dead supervisor.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import ClassVar

import psutil

from ..system import host

TOKEN = "VLMSWEEP_WORKER_TOKEN"
KILL_FOR_S = 10.0


class OrphanReaper:
    """Finds and kills the orphans of one worker; created before the worker."""

    guardians: ClassVar[set[int]] = set()  # shims alive, over all: never a leftover
    guarded = 0  # workers alive, over all

    def __init__(self, token: str) -> None:
        self.token = token
        self.guardian: int | None = None
        self.before = set(psutil.Process().children())
        host.adopt_orphans(True)
        OrphanReaper.guarded += 1

    def set_shim(self, shim: int) -> None:
        """Record the worker's shim."""
        self.guardian = shim
        OrphanReaper.guardians.add(shim)

    def close(self, kill: bool) -> int:
        """The shim has exited; `kill` if it failed. Returns how many processes were killed."""
        OrphanReaper.guardians.discard(self.guardian or 0)
        killed = self.kill() if kill else set()
        reap(self.children())
        OrphanReaper.guarded -= 1
        if not OrphanReaper.guarded:
            host.adopt_orphans(False)
        return len(killed)

    def kill(self) -> set[psutil.Process]:
        """Kill all orphans repeatedly until none is left."""
        killed: set[psutil.Process] = set()
        until = time.monotonic() + KILL_FOR_S
        while time.monotonic() < until:
            left = self.adopted_processes() | self.processes_with_token()
            for process in left:
                with suppress(psutil.Error):  # psutil checks that the number is still the same
                    process.kill()
            killed |= left
            reap(killed)
            if not left:
                break
            time.sleep(0.002)
        return killed

    def adopted_processes(self) -> set[psutil.Process]:
        """Return the running processes that became our children, with their descendants."""
        found: set[psutil.Process] = set()
        for child in self.children():
            with suppress(psutil.Error):
                found |= {child, *child.children(recursive=True)}
        return {process for process in found if is_running(process)}

    def children(self) -> set[psutil.Process]:
        """Return our new children, except other workers' shims.

        Other processes that we start are in our own session.
        """
        found = set()
        for child in set(psutil.Process().children()) - self.before:
            if child.pid in OrphanReaper.guardians:
                continue
            with suppress(OSError):
                if os.getsid(child.pid) != os.getsid(0):
                    found.add(child)
        return found

    def processes_with_token(self) -> set[psutil.Process]:
        """Return running processes with the worker's token in their readable environment."""
        found = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(TOKEN) == self.token and is_running(process):
                    found.add(process)
        return found


def is_running(process: psutil.Process) -> bool:
    """Return whether the process exists and is not a zombie."""
    with suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def reap(processes: set[psutil.Process]) -> None:
    """Reap those processes that are our own children."""
    for process in processes:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)

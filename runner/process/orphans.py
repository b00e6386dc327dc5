"""Kills what a worker left running when its shim died, which should have done that.

While a worker lives we adopt orphans below us (Linux), so that what a dead shim guarded becomes
our own children, whatever it did to its session and environment; elsewhere only what still bears
the worker's token is found. What a dead supervisor left is `runner.database.recovery`'s business.
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
    """What one worker may leave; made before the worker is."""

    guardians: ClassVar[set[int]] = set()  # shims alive, over all: never a leftover
    guarded = 0  # workers alive, over all

    def __init__(self, token: str) -> None:
        self.token = token
        self.guardian: int | None = None
        self.before = set(psutil.Process().children())
        host.adopt_orphans(True)
        OrphanReaper.guarded += 1

    def set_shim(self, shim: int) -> None:
        """The worker's shim is there."""
        self.guardian = shim
        OrphanReaper.guardians.add(shim)

    def close(self, kill: bool) -> int:
        """The shim is gone; `kill` when it did not do its work. Returns how many were killed."""
        OrphanReaper.guardians.discard(self.guardian or 0)
        killed = self.kill() if kill else set()
        reap(self.children())
        OrphanReaper.guarded -= 1
        if not OrphanReaper.guarded:
            host.adopt_orphans(False)
        return len(killed)

    def kill(self) -> set[psutil.Process]:
        """Kills all there is, again and again until none is left."""
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
        """Those whose parent we became, with all below them."""
        found: set[psutil.Process] = set()
        for child in self.children():
            with suppress(psutil.Error):
                found |= {child, *child.children(recursive=True)}
        return {process for process in found if is_running(process)}

    def children(self) -> set[psutil.Process]:
        """Children we did not have before, but for other workers' shims.

        What else we start ourselves is of our own session.
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
        """Whatever bears the worker's token in its environment, as far as we may read it."""
        found = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(TOKEN) == self.token and is_running(process):
                    found.add(process)
        return found


def is_running(process: psutil.Process) -> bool:
    """Whether it still runs."""
    with suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def reap(processes: set[psutil.Process]) -> None:
    """Buries those that are our own children."""
    for process in processes:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)

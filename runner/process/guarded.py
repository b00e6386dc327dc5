"""Runs one program under a shim until its whole process tree has exited.

Used outside sweeps where a kill must be reliable: creating environments, fetching models.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .event_reader import EndOfStream, InvalidLine, LineReader
from .launcher import Launcher, ShimLauncher, WorkerHandle, WorkerSpec

DRAIN_S = 1.0
EVERY_S = 0.2


@dataclass(slots=True)
class ExitResult:
    """A program's exit: its status (negative: a signal; None if unknown), and whether it was
    overdue."""

    status: int | None = None
    overdue: bool = False


class GuardedProcess:
    """A program under its shim: reads its events and the shim's reports."""

    def __init__(self, handle: WorkerHandle, hear: Callable[[bytes], None]) -> None:
        self.handle = handle
        self.hear = hear
        self.events, self.reports = LineReader(handle.events_fd), LineReader(handle.reports_fd)
        self.end = ExitResult()

    def read_events(self) -> bool:
        """Passes its lines on; False when no more can come."""
        for line in self.events.read():
            if isinstance(line, EndOfStream):
                return False
            if not isinstance(line, InvalidLine):
                self.hear(line)
        return True

    def read_reports(self) -> bool:
        """Read the shim's reports; False when the shim has exited."""
        for line in self.reports.read():
            if isinstance(line, EndOfStream):
                return False
            if isinstance(line, bytes) and line.startswith(b"exited "):
                self.end.status = int(line.split()[1])
        return True

    def wait(self, deadline: Callable[[], float], on_idle: Callable[[], None] | None) -> None:
        """Read events until the shim has exited; kill everything once the deadline has passed."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.handle.events_fd, selectors.EVENT_READ, self.read_events)
            selector.register(self.handle.reports_fd, selectors.EVENT_READ, self.read_reports)
            while self.handle.reports_fd in selector.get_map():
                left = deadline() - time.monotonic()
                if left <= 0 and not self.end.overdue:
                    self.end.overdue = True
                    self.handle.kill()
                wait_s = None if self.end.overdue else left
                if on_idle is not None:
                    on_idle()
                    wait_s = EVERY_S if wait_s is None else min(wait_s, EVERY_S)
                for key, _ in selector.select(wait_s):
                    if not key.data():
                        selector.unregister(key.fd)
                self.handle.flush()

    def drain(self) -> None:
        """Read the output that was written before the exit."""
        until = time.monotonic() + DRAIN_S
        while self.read_events() and not self.events.would_block and time.monotonic() < until:
            pass


def run_guarded(
    spec: WorkerSpec,
    hear: Callable[[bytes], None],
    deadline: Callable[[], float],
    commands: Iterable[bytes] = (),
    launcher: Launcher | None = None,
    on_idle: Callable[[], None] | None = None,
) -> ExitResult:
    """Run a program until all its processes have exited; `hear` receives each event line.

    `deadline` (monotonic seconds) is queried after each line. Everything is killed once it has
    passed, and if an exception is raised, Ctrl-C included. `on_idle` is called several times per
    second. Raises OSError if the program cannot be started.
    """
    spec.log.parent.mkdir(parents=True, exist_ok=True)
    handle = (launcher or ShimLauncher()).start(spec)
    watched = GuardedProcess(handle, hear)
    try:
        for command in commands:
            handle.send(command)
        watched.wait(deadline, on_idle)
        watched.drain()
    finally:
        handle.kill()
        handle.close()
    return watched.end

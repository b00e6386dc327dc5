"""Runs one program under a shim until it and all it started are gone: no job, no row, no model.

For what must be killable for certain though it is no sweep: making an environment, fetching.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .launch import Launcher, ShimLauncher, WorkerSpec
from .lines import Closed, Garbage, LineReader

DRAIN_S = 1.0
EVERY_S = 0.2


@dataclass(slots=True)
class End:
    """How it ended: its exit status (negative: a signal), None where nobody saw it."""

    status: int | None = None
    overdue: bool = False


def run(
    spec: WorkerSpec,
    hear: Callable[[bytes], None],
    deadline: Callable[[], float],
    commands: Iterable[bytes] = (),
    launcher: Launcher | None = None,
    between: Callable[[], None] | None = None,
) -> End:
    """Blocks until it is gone; `hear` gets each line it writes to its events' descriptor.

    `deadline` (monotonic seconds) is asked again after each line; past it all is killed, as it is
    when anything is raised meanwhile, Ctrl-C included. `between` is called a few times a second.
    Raises OSError when it cannot be started.
    """
    spec.log.parent.mkdir(parents=True, exist_ok=True)
    hold = (launcher or ShimLauncher()).start(spec)
    events, reports = LineReader(hold.events_fd), LineReader(hold.reports_fd)
    end = End()

    def hear_events() -> bool:
        for line in events.read():
            if isinstance(line, Closed):
                return False
            if not isinstance(line, Garbage):
                hear(line)
        return True

    def hear_reports() -> bool:
        for line in reports.read():
            if isinstance(line, Closed):
                return False
            if isinstance(line, bytes) and line.startswith(b"exited "):
                end.status = int(line.split()[1])
        return True

    try:
        with selectors.DefaultSelector() as selector:
            selector.register(hold.events_fd, selectors.EVENT_READ, hear_events)
            selector.register(hold.reports_fd, selectors.EVENT_READ, hear_reports)
            for command in commands:
                hold.send(command)
            while hold.reports_fd in selector.get_map():
                left = deadline() - time.monotonic()
                if left <= 0 and not end.overdue:
                    end.overdue = True
                    hold.kill()
                wait_s = None if end.overdue else left
                if between is not None:
                    between()
                    wait_s = EVERY_S if wait_s is None else min(wait_s, EVERY_S)
                for key, _ in selector.select(wait_s):
                    if not key.data():
                        selector.unregister(key.fd)
                hold.flush()
        until = time.monotonic() + DRAIN_S
        while hear_events() and not events.dry and time.monotonic() < until:
            pass
    finally:
        hold.kill()
        hold.close()
    return end

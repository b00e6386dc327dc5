"""Measures how long a kill takes: from the deadline or the supervisor's exit until all are gone.

The worker holds the interpreter's lock, ignores SIGTERM and has all four kinds of descendant. Ends
are seen from outside, by a pidfd for each process, so this runs on Linux only. Status 1 means that
the figures are worse than what docs/trust.md promises.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import faulty

from runner.database.store import Store
from schemas import stream

MEDIAN_S, WORST_S = 0.25, 1.0
KINDS = ("child", "setsid-grandchild", "daemon", "bare-daemon")
LIMITS = {"load_s": 30, "first_token_s": 20, "run_s": 60, "silence_s": 0.4}


def all_up(marker: str) -> list[int]:
    """Waits until every descendant is what it is to become; all processes with the marker."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = faulty.marked(marker)
        if all(any(f"{marker}-{kind}" in words for words in found.values()) for kind in KINDS):
            return list(found)
        time.sleep(0.005)
    raise RuntimeError("the worker's child processes did not start")


def last_death(pids: Iterable[int], within_s: float = 30.0) -> float:
    """Waits until all are gone; the monotonic time of the last one's end."""
    poll = select.poll()
    waiting = set()
    for pid in pids:
        handle = os.pidfd_open(pid)
        poll.register(handle, select.POLLIN)
        waiting.add(handle)
    until = time.monotonic() + within_s
    while waiting and time.monotonic() < until:
        for handle, _ in poll.poll(1000):
            poll.unregister(handle)
            waiting.remove(handle)
            os.close(handle)
    return time.monotonic()


def by_deadline(kills: int, folder: Path, marker: str) -> list[float]:
    """One sweep of as many runs, each of which breaks `silence_s`."""
    store = Store(folder / "kills.db")
    number = faulty.queue(
        store, folder, [f"offspring {marker}"], LIMITS | {"worker_failures": kills + 1}, kills
    )
    supervisor = faulty.supervisor(store, marker)
    deadlines: list[float] = []
    ends: list[float] = []
    watchers: list[threading.Thread] = []

    def watch() -> None:
        mine = [p for p in all_up(marker) if p != os.getpid()]
        ends.append(last_death(mine))

    def emit(event: stream.StreamEvent) -> None:
        if isinstance(event, stream.RunText):
            watchers.append(threading.Thread(target=watch))
            watchers[-1].start()
        elif isinstance(event, stream.WorkerKilled):
            (controller,) = supervisor.attendants
            deadlines.append(min(controller.watch.deadlines())[0])
        elif isinstance(event, stream.WorkerEnded):
            watchers[-1].join()
            print(f"{ends[-1] - deadlines[-1]:.3f}", end=" ", flush=True)

    supervisor.emit = emit
    supervisor.run_sweep(number)
    store.close()
    print()
    return [end - deadline for end, deadline in zip(ends, deadlines, strict=True)]


def by_supervisors_death(kills: int, folder: Path, marker: str) -> list[float]:
    """As many supervisors, each killed while its worker is at it."""
    limits = json.dumps(LIMITS | {"silence_s": 60})
    taken = []
    for number in range(kills):
        path = str(folder / f"{number}.db")
        argv = [sys.executable, faulty.__file__, path, marker, limits, f"offspring {marker}"]
        with subprocess.Popen(argv) as supervisor:
            pids = all_up(marker)
            killed = time.monotonic()
            supervisor.kill()
            taken.append(last_death(pids) - killed)
        print(f"{taken[-1]:.3f}", end=" ", flush=True)
        if left := faulty.marked(marker):
            print("survivors:", left)
            break
    print()
    return taken


def main() -> int:
    """Kills, and says how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--by", choices=["deadline", "supervisor-death"], default="deadline")
    options = parser.parse_args()
    measure = by_deadline if options.by == "deadline" else by_supervisors_death
    marker = f"kill-{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory() as folder:
        taken = measure(options.kills, Path(folder), marker)
    survivors = len(faulty.marked(marker))
    median, worst = statistics.median(taken), max(taken)
    print(
        f"{len(taken)} kills by {options.by}: median {median:.3f} s, worst {worst:.3f} s,"
        f" {survivors} survivors"
    )
    return int(median > MEDIAN_S or worst > WORST_S or survivors > 0)


if __name__ == "__main__":
    sys.exit(main())

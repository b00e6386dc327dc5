"""Measures the supervisor's costs: processor time while it waits, memory over many jobs.

It waits for a scripted worker that hangs, and then has another answer thousands of jobs at once.
Status 1 means that the figures are worse than what docs/trust.md promises.
"""

from __future__ import annotations

import argparse
import gc
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

import faulty

from runner.database.store import Store
from runner.system import host
from schemas import stream

GROWTH = 2_000_000
LONG = {"load_s": 60, "first_token_s": 1e6, "run_s": 1e6, "silence_s": 1e6}


def resident() -> int:
    """Bytes of this process that no file backs, or all where that is not known."""
    gc.collect()
    memory = host.process_memory(os.getpid())
    assert memory is not None
    return memory.anonymous or memory.rss


def waiting(folder: Path, seconds: float) -> float:
    """Share of a core while a worker is waited for."""
    store = Store(folder / "idle.db")
    number = faulty.queue(store, folder, ["hang"], LONG | {"first_token_s": seconds})
    at: dict[type, tuple[float, float]] = {}

    def emit(event: stream.StreamEvent) -> None:
        at.setdefault(type(event), (time.process_time(), time.monotonic()))

    faulty.supervisor(store, f"idle-{secrets.token_hex(6)}", emit).run_sweep(number)
    store.close()
    began, ended = at[stream.RunStarted], at[stream.WorkerKilled]
    return (ended[0] - began[0]) / (ended[1] - began[1])


def over(folder: Path, jobs: int) -> list[tuple[int, int]]:
    """Memory after how many jobs."""
    store = Store(folder / "jobs.db")
    rounds = min(jobs, 10_000)  # a sweep file's limit
    prompts = [f"job {number}" for number in range(max(1, jobs // rounds))]
    number = faulty.queue(store, folder, prompts, LONG, rounds)
    found: list[tuple[int, int]] = []
    done = 0

    def emit(event: stream.StreamEvent) -> None:
        nonlocal done
        if isinstance(event, stream.RunFinished):
            done += 1
            if done in (jobs // 20, jobs // 4, jobs // 2, jobs):
                found.append((done, resident()))

    faulty.supervisor(store, f"jobs-{secrets.token_hex(6)}", emit).run_sweep(number)
    store.close()
    return found


def main() -> int:
    """Measures and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        share = waiting(folder, options.seconds)
        print(f"waiting: {share:.3%} of a core over {options.seconds:g} s", flush=True)
        began = time.monotonic()
        found = over(folder, options.jobs)
        each = (time.monotonic() - began) / options.jobs
    for done, size in found:
        print(f"after {done:,} jobs: {size:,} bytes resident, files apart")
    growth = found[-1][1] - found[0][1]
    print(f"growth: {growth:,} bytes; {each * 1000:.1f} ms per job")
    return int(share > 0.01 or growth > GROWTH)


if __name__ == "__main__":
    sys.exit(main())

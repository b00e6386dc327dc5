"""Measures the queue when it is long: how long a claim, a list, a status and an addition take.

    python scripts/measure_queue.py [--jobs 100000] [--sweeps 20] [--repeats 30]

A queue of fake jobs is made in a temporary database, in the given number of sweeps, through the
same functions that `vlmsweep queue add` uses. Prints medians and maxima in milliseconds as JSON;
exit code 1 when a question took 50 ms or more in the median.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from runner.control.dispatch import execute
from runner.control.protocol import Request
from runner.database import queue_status, sweep_writer
from runner.database.reader import Reader
from runner.database.store import Store
from runner.planning import expand, sweepfile
from runner.planning.plan import Plan
from runner.supervisor.queue import Queue
from runner.system import environment
from runner.system.timestamps import utc_now
from schemas.image import PreparedImage

LONGEST_MS = 50.0
MODELS = 5
PROMPTS = 20


def plan(folder: Path, number: int, size: int) -> Plan:
    """A sweep of `size` jobs: models x prompts x images that need not exist."""
    images = size // (MODELS * PROMPTS)
    data = {
        "name": f"sweep-{number}",
        "models": [f"org/model-{m}" for m in range(MODELS)],
        "prompts": [{"text": f"question {p}?"} for p in range(PROMPTS)],
        "images": [f"{i}.png" for i in range(images)],
    }
    return expand.expand_sweep(sweepfile.validate(data, "measure"), folder, "measure")


def stage(folder: Path, number: int, size: int) -> tuple[Path, str]:
    """A sweep in a separate file, as `queue add` hands it over."""
    made = plan(folder, number, size)
    images = [PreparedImage(path=path, prepared_path=path) for path in made.images]
    staged = folder / f"staged-{number}.db"
    with closing(Store(staged)) as store:
        sweep = sweep_writer.add_sweep(store, made, images, environment.supervisor_environment())
        (uid,) = store.connection.execute("SELECT uid FROM sweeps WHERE id = ?", [sweep]).fetchone()
    return staged, uid


def timed(repeats: int, ask: Callable[[], Any]) -> dict[str, float]:
    """Median and maximum of a question, milliseconds; the first one warms up."""
    ask()
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    return {"median_ms": statistics.median(took), "worst_ms": max(took)}


def measure(folder: Path, total: int, sweeps: int, repeats: int) -> dict[str, Any]:
    """All figures."""
    database = folder / "queue.db"
    for image in range(total // sweeps // (MODELS * PROMPTS)):
        (folder / f"{image}.png").touch()
    adding = []
    terms = {"label": None, "priority": 0, "not_before": None, "after_sweep_id": None}
    with closing(Store(database)) as store:
        for number in range(sweeps):
            staged, uid = stage(folder, number, total // sweeps)
            began = time.perf_counter()
            arguments = {"staging_path": str(staged), "uid": uid, **terms}
            execute(store, Request("add", arguments))
            adding.append((time.perf_counter() - began) * 1000)
            staged.unlink()
        queue = Queue(store.connection)
        found: dict[str, Any] = {
            "jobs": store.connection.execute("SELECT count(*) FROM jobs").fetchone()[0],
            "sweeps": sweeps,
            "add_one_sweep": {"median_ms": statistics.median(adding), "worst_ms": max(adding)},
        }
        found |= questions(store, queue, database, repeats)
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    found["database_bytes"] = database.stat().st_size
    found["bytes_per_job"] = found["database_bytes"] / found["jobs"]
    return found


def questions(store: Store, queue: Queue, database: Path, repeats: int) -> dict[str, Any]:
    """Times the queries that run while the queue is processed."""
    (first, *_) = queue.ready(utc_now())

    def claim() -> None:
        job = queue.claim(first.id, utc_now())
        assert job is not None
        store.finish_run(store.start_run(job.id, None), {"outcome": "ok"})

    def change(action: str) -> Callable[[], Any]:
        target = {"level": "sweep", "id": first.sweep}
        return lambda: execute(store, Request(action, target))

    with Reader(database) as reader:
        return {
            "claim": timed(repeats, lambda: queue.claim(first.id, utc_now())),
            "claim_and_store_a_run": timed(repeats, claim),
            "what_is_ready": timed(repeats, lambda: queue.ready(utc_now())),
            "what_is_open": timed(repeats, queue.open_sweeps),
            "list_sweeps": timed(repeats, lambda: queue_status.queue_sweeps(reader)),
            "list_models": timed(repeats, lambda: queue_status.queue_models(reader, first.sweep)),
            "list_200_jobs": timed(
                repeats,
                lambda: queue_status.queue_jobs(reader, first.sweep, every=False, limit=200),
            ),
            "pause": timed(repeats, change("pause")),
            "resume": timed(repeats, change("resume")),
        }


def main() -> int:
    """Measures, prints, and compares with the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.jobs, given.sweeps, given.repeats)
    print(json.dumps(found, indent=1))
    slow = [
        name
        for name, value in found.items()
        if isinstance(value, dict) and name != "add_one_sweep" and value["median_ms"] >= LONGEST_MS
    ]
    if slow:
        print("too slow: " + ", ".join(slow), file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())

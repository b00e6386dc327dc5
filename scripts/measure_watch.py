"""Measures the cost of `watch` in a history of a million runs.

    python scripts/measure_watch.py [--runs 1000000]

Makes a sweep that is half done, with some failures, and polls it while runs are added. Prints the
time to join it and of each poll; status 1 if a poll takes over 50 ms.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

from runner.database import sweep_writer
from runner.database.store import Store
from runner.planning import expand, sweepfile
from runner.system import environment
from runner.system.timestamps import utc_now
from runner.watch.watcher import Watcher
from schemas import stream

LIMIT_S = 0.05
TEXT = "the image shows a red circle on a blue square " * 4


def fill(store: Store, folder: Path, runs: int) -> int:
    """A running sweep with twice as many jobs as runs, two models and a worker each."""
    for name in ("a", "b"):
        (folder / name).mkdir()
    data = {"models": ["./a", "./b"], "prompts": [{"text": "What?", "images": "none"}]}
    plan = expand.expand_sweep(sweepfile.validate(data, "measure"), folder, "measure")
    sweep = sweep_writer.add_sweep(store, plan, [], environment.supervisor_environment())
    connection = store.connection
    connection.execute("BEGIN")
    connection.execute("DELETE FROM jobs")
    first, second = (row[0] for row in connection.execute("SELECT id FROM sweep_models"))
    for variant in (first, second):
        store.start_worker(variant, folder / "log", store.next_worker_number(sweep))
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO jobs (id, sweep_id, position, sweep_model_id, prompt_id, repeat, state)"
        " SELECT i, ?, i, CASE WHEN i % 2 THEN ? ELSE ? END, 1, i, 'queued' FROM n",
        [2 * runs, sweep, first, second],
    )
    connection.execute(
        "INSERT INTO runs (id, job_id, attempt, worker_id, started_at, ended_at, outcome, raw_text,"
        " text, latency_s) SELECT id, id, 1, 1, ?, ?, CASE WHEN id % 20 THEN 'ok' ELSE 'timeout'"
        " END, ?, ?, 1.5 FROM jobs WHERE id <= ?",
        [utc_now(), utc_now(), TEXT, TEXT, runs],
    )
    # Only now: a run that comes after a job naming it would have all jobs searched.
    connection.execute("UPDATE jobs SET state = 'done', latest_run_id = id WHERE id <= ?", [runs])
    connection.execute("COMMIT")
    store.set_sweep_state(sweep, "running")
    return runs


def main() -> int:
    """The measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(folder / f"{secrets.token_hex(4)}.db")
        done = fill(store, folder, asked.runs)
        emitted: list[stream.StreamEvent] = []
        watcher = Watcher(store.path, emitted.append)
        began = time.perf_counter()
        watcher.poll()
        print(f"{asked.runs:,} runs, {store.path.stat().st_size / 1e9:.2f} GB")
        print(f"joining: {time.perf_counter() - began:.3f} s")
        looks = []
        for job in range(done + 1, done + 201):
            run = store.start_run(job, 1)
            store.update("runs", run, {"raw_text": TEXT})
            store.finish_run(run, {"outcome": "ok", "raw_text": TEXT, "text": TEXT})
            store.add_sample(1, {"at_s": float(job), "phase": "generate", "rss_bytes": job})
            began = time.perf_counter()
            watcher.poll()
            looks.append(time.perf_counter() - began)
        began = time.perf_counter()
        watcher.poll()
        quiet = time.perf_counter() - began
        watcher.close()
        store.close()
    finished = sum(isinstance(event, stream.RunFinished) for event in emitted)
    median, most = statistics.median(looks), max(looks)
    print(f"a look with a new run: {median * 1e3:.1f} ms, at most {most * 1e3:.1f} ms")
    print(f"a look with nothing new: {quiet * 1e3:.2f} ms; {finished} of {len(looks)} runs seen")
    return int(median > LIMIT_S or finished != len(looks))


if __name__ == "__main__":
    sys.exit(main())

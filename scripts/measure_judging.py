"""Measures the cost of checks and scores: milliseconds per run, memory, bytes in the file.

Runs are stored with and without a text; the difference is the cost of scoring. No model is run.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from pathlib import Path

import faulty

from runner.database import score_writer
from runner.database.store import Store
from runner.system import host

TEXT = (
    "The image shows a red bicycle that leans against a brick wall. Near it a small dog sleeps on"
    " the pavement and looks at the camera, while two people walk past a shop with a green door."
)
METRICS = ["exact", "contains", "vqa", "anls"]


def resident() -> int:
    """Bytes of this process that no file backs, or all if that is unknown."""
    gc.collect()
    memory = host.process_memory(os.getpid())
    assert memory is not None
    return memory.anonymous or memory.rss


def stored(store: Store, row: dict[str, object], runs: int) -> float:
    """The median milliseconds that storing an outcome takes."""
    took = []
    for _ in range(runs):
        run = store.start_run(1, None)
        began = time.perf_counter()
        store.finish_run(run, {"outcome": "ok", "finish_reason": "stop", **row})
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def scoring_ms(store: Store, runs: int) -> float:
    """The median milliseconds that the checks and scores of the latest run take."""
    (run,) = store.connection.execute("SELECT max(id) FROM runs").fetchone()
    took = []
    with store.db.atomic():
        for _ in range(runs):
            began = time.perf_counter()
            score_writer.score_run(store.connection, run)
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def main() -> None:
    """Measures and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name) / "history.db")
        faulty.queue(store, Path(name), ["What is this?"], {})
        silent = stored(store, {}, runs)
        before = resident()
        for times in (1, 10):
            row = {"text": TEXT * times, "raw_text": TEXT * times}
            took = stored(store, row, runs)
            print(
                f"outcome stored: {silent:.2f} ms without a text, {took:.2f} ms with one of"
                f" {len(TEXT) * times} characters; its checks {scoring_ms(store, runs):.2f} ms"
            )
        checks = resident()
        score_writer.store_reference(store.connection, 1, ["a red bicycle"] * 10, METRICS)
        took = stored(store, row | {"text": TEXT, "raw_text": TEXT}, runs)
        print(
            f"with four metrics of ten answers: {took:.2f} ms; scoring alone"
            f" {scoring_ms(store, runs):.2f} ms"
        )
        print(
            f"memory: {checks - before:,} bytes for the checks,"
            f" {resident() - checks:,} more for the scores"
        )
        size = dict(store.connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY 1"))
        for table, count in (("checks", 3 * runs), ("scores", 4 * runs)):
            print(f"{table}: {size[table] / count:.0f} bytes per row")
        store.close()


if __name__ == "__main__":
    main()

"""Measures queries on a long history, and the time and bytes to store a run.

`make_history.py` makes the history. Each query is timed repeatedly within this process
(opening the file, running the query, reading all rows), and as the whole command with Python's
start. Runs are stored in a copy, by the store's own methods, each with its commits.
Status 1 means that a figure is worse than docs/history.md promises, or that a question read a
large table from end to end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from history_texts import Author

from runner import queries
from runner.database import search as searching
from runner.database.reader import Reader
from runner.database.store import Store

ROOT = Path(__file__).resolve().parent.parent
TARGET_S, TARGET_BYTES, TARGET_STORE_S = 0.300, 1000, 0.005
LARGE = ("jobs", "job_images", "runs", "memory_samples", "checks", "images", "workers")
WORDS = "red bicycle"
SCAN = re.compile(r"^SCAN (\w+)(?! USING (?:COVERING )?INDEX (?:runs_outcome|jobs_unfinished))")
USES = re.compile(r"USING (?:AUTOMATIC )?(?:COVERING )?INDEX (\w+)|(INTEGER PRIMARY KEY)")

Ask = Callable[[Reader], Any]


def named(name: str, **given: Any) -> Ask:
    """A named query, all its rows read."""
    query = queries.find_query(name, Path("/nonexistent"))
    return lambda r: list(r.query(query.sql, query.values(given)).rows)


def show(sweep: str | None) -> Ask:
    """Returns the query of `vlmsweep show`."""
    return lambda r: r.summary(r.sweep(sweep)["id"])


def questions(big: int) -> dict[str, tuple[list[str], Ask]]:
    """The questions that have a target: the command, and the same within this process."""
    return {
        "summary": (["history", "summary"], named("summary")),
        "latest": (["history", "latest"], named("latest")),
        "failures": (["history", "failures"], named("failures")),
        "search": (["search", *WORDS.split()], lambda r: searching.search(r, WORDS)),
        "search in a sweep": (
            ["search", *WORDS.split(), "--sweep", "3"],
            lambda r: searching.search(r, WORDS, sweep=3),
        ),
        "show": (["show"], show(None)),
        "show, largest sweep": (["show", str(big)], show(str(big))),
        "sweeps": (["sweeps"], lambda r: r.sweeps()),
    }


def others(big: int) -> dict[str, Ask]:
    """Returns the other named queries with default parameters, and the slowest over all sweeps."""
    names = ["by-image", "costliest-loads", "disagreements", "flaky", "memory", "regressions"]
    names += ["slowest", "timeouts", "versions"]
    out = {name: named(name) for name in names}
    for name in ("failures", "flaky", "disagreements", "slowest"):
        out[f"{name}, largest sweep"] = named(name, sweep=big)
        out[f"{name}, all sweeps"] = named(name, sweep="all")
    return out


def timed(database: Path, ask: Ask, repeats: int) -> tuple[float, float]:
    """Median and best seconds of a question, the file opened for each."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        with Reader(database, limit_s=300) as opened:
            ask(opened)
        times.append(time.perf_counter() - began)
    return median(times[1:]), min(times[1:])  # the first one warms the system's cache


def command(database: Path, words: list[str], repeats: int) -> tuple[float, float]:
    """Median and best seconds of a whole command."""
    argv = [sys.executable, "-m", "runner", *words, "--db", str(database)]
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return median(times[1:]), min(times[1:])


def plan(database: Path, ask: Ask) -> tuple[list[str], list[str]]:
    """The indices that a question's statements use, and the large tables that they scan."""
    used: dict[str, None] = {}
    scanned: dict[str, None] = {}
    with Reader(database) as opened:
        asked: list[str] = []
        opened.connection.set_trace_callback(asked.append)
        ask(opened)
        opened.connection.set_trace_callback(None)
        for statement in (re.sub(r"--[^\n]*", "", text) for text in asked):
            if not statement.lstrip().upper().startswith(("SELECT", "WITH")):
                continue
            names = dict(re.findall(r"\b(?:FROM|JOIN) (\w+) AS (\w+)", statement))
            real = {short: table for table, short in names.items()}
            for row in opened.connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall():
                if found := USES.search(row[3]):
                    used[found[1] or "(rowid)"] = None
                if (found := SCAN.match(row[3])) and real.get(found[1], found[1]) in LARGE:
                    scanned[row[3]] = None
    return list(used), list(scanned)


def storing(database: Path, runs: int) -> dict[str, float]:
    """Seconds to store a run, start and end, each a commit that waits for the disk.

    `bare` are two commits of a number, taken in turn with it: what the disk alone takes.
    """
    with tempfile.TemporaryDirectory(dir=database.parent) as folder:
        copy = Path(folder) / "copy.db"
        shutil.copy(database, copy)
        store = Store(copy)
        author = Author(random.Random(1))
        jobs = store.connection.execute("SELECT id FROM jobs ORDER BY id DESC LIMIT ?", [runs])
        store.connection.execute("CREATE TABLE bare (number INTEGER)")
        stored, bare, worked = [], [], []
        for (job,) in jobs.fetchall():
            text, _ = author.describe(100)
            row = {"outcome": "ok", "raw_text": text, "text": text, "latency_s": 1.5}
            row |= {"ttft_s": 0.2, "output_tokens": 80, "finish_reason": "stop"}
            began, busy = time.perf_counter(), time.process_time()
            store.finish_run(store.start_run(job, 1), row)
            stored.append(time.perf_counter() - began)
            worked.append(time.process_time() - busy)
            began = time.perf_counter()
            for _ in range(2):
                store.connection.execute("INSERT INTO bare VALUES (1)")
            bare.append(time.perf_counter() - began)
        store.close()
    found = {"median": median(stored), "best": min(stored), "processor": median(worked)}
    return found | {"bare": median(bare)}


def facts(database: Path) -> tuple[int, int]:
    """Returns the number of runs, and the sweep with most jobs."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    (runs,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    (big,) = connection.execute(
        "SELECT sweep_id FROM jobs GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    ).fetchone()
    connection.close()
    return runs, big


def main() -> int:
    """Measures all, tells it, and says whether it is good enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--store", type=int, default=2000, help="runs to store in a copy")
    given = parser.parse_args()
    os.environ.pop("VLMSWEEP_DB", None)
    runs, big = facts(given.database)
    size, bad = given.database.stat().st_size / runs, []
    print(f"{runs} runs, {size:.0f} bytes per run, SQLite {sqlite3.sqlite_version}; in ms:\n")
    if size >= TARGET_BYTES:
        bad.append(f"{size:.0f} bytes per run")
    print(f"{'':26}{'asked':>8}{'best':>8}{'command':>9}{'best':>8}   indices")
    for name, (words, ask) in questions(big).items():
        took, whole = timed(given.database, ask, given.repeats), command(given.database, words, 5)
        used, scanned = plan(given.database, ask)
        middle, best, slow, quick = (figure * 1000 for figure in took + whole)
        figures = f"{middle:8.0f}{best:8.0f}{slow:9.0f}{quick:8.0f}"
        print(f"{name:26}{figures}   {', '.join(used)}")
        bad += [f"{name} reads all of a table: {what}" for what in scanned if name != "latest"]
        if took[0] >= TARGET_S:
            bad.append(f"{name} took {took[0] * 1000:.0f} ms")
    for name, ask in others(big).items():
        took = timed(given.database, ask, 3)
        print(f"{name:26}{took[0] * 1000:8.0f}{took[1] * 1000:8.0f}")
    if given.store:
        found = storing(given.database, given.store)
        measured = ", ".join(f"{key} {value * 1000:.2f}" for key, value in found.items())
        print(f"\nms to store a run: {measured}")
        if found["median"] - found["bare"] >= TARGET_STORE_S:
            bad.append("storing a run took too long")
    print(json.dumps({"bad": bad}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""Lets several processes change the queue at once while a supervisor runs, and counts.

    python scripts/stress_queue.py [--seconds 60] [--processes 8]

One process runs the queue with a scripted worker; the others add sweeps, cancel, pause, resume,
move, retry and list them, each as fast as it gets answers. In the end every request that was
answered must have had its effect, exactly once; no job may have been run twice at the same time or
again after it ended ok; nothing may be left running; SQLite must find its file sound. Prints the
counts as JSON; exit code 1 when anything failed, was lost or doubled.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from kill_supervisor import WORKER

from runner import api
from runner.control.client import send_request
from runner.database import queue_status
from runner.database.reader import Reader
from runner.database.stale_processes import marked_processes, read_marker
from runner.planning import expand, sweepfile
from runner.planning.plan import Plan
from runner.process.launcher import ShimHandle, ShimLauncher, WorkerSpec
from runner.supervisor.resources import SupervisorLimits

JOBS = 6
TERMS = {"label": None, "priority": 0, "not_before": None, "after_sweep_id": None}
DRAIN_S = 120


class Scripted(ShimLauncher):
    """Workers that answer after a moment."""

    def start(self, spec: WorkerSpec) -> ShimHandle:
        """One of them."""
        return super().start(
            WorkerSpec(spec.log, spec.stack, (sys.executable, "-c", WORKER), spec.env)
        )


def work(database: Path) -> None:
    """The supervisor."""
    api.work_queue(database, lambda event: None, SupervisorLimits(stay=True, workers=2), Scripted())


def plan(folder: Path, name: str) -> Plan:
    """A small sweep."""
    asked = [{"text": f"{name} {i}", "images": "none"} for i in range(JOBS)]
    data = {"name": name, "models": [f"./m{random.randrange(3)}"], "prompts": asked}
    return expand.expand_sweep(sweepfile.validate(data, "stress"), folder, "stress")


def disturb(folder: Path, number: int, until: float, out: SimpleQueue[Any]) -> None:
    """One of the others: sends requests and reports the replies."""
    random.seed(number)
    database, mine, done = folder / "q.db", [], collections.Counter()
    slowest = 0.0
    while time.monotonic() < until:
        what = random.choice(["add", "list", "cancel", "pause", "resume", "move", "retry"])
        began = time.monotonic()
        try:
            if what == "add" or not mine:
                what = "add"
                name = f"p{number}-{len(mine)}"
                added = api.enqueue(plan(folder, name), database, lambda event: None, TERMS)
                mine.append((added["sweep"], name))
            elif what == "list":
                with Reader(database) as reader:
                    queue_status.queue_sweeps(reader)
            else:
                target = {"level": "sweep", "id": random.choice(mine)[0]}
                more = {"to": random.choice(["first", "last"])} if what == "move" else {}
                send_request(database, what, target | more)
        except Exception as error:  # what a user would see
            out.put({"error": f"{what}: {type(error).__name__}: {error}"})
            return
        done[what] += 1
        slowest = max(slowest, time.monotonic() - began)
    for sweep, _ in mine:  # nothing is to wait for ever
        send_request(database, "resume", {"level": "sweep", "id": sweep})
    out.put({"added": mine, "done": done, "slowest_s": slowest})


def evaluate(database: Path, replies: list[dict[str, Any]]) -> dict[str, Any]:
    """Compares the database with the replies."""
    connection = sqlite3.connect(database)

    def one(sql: str) -> Any:
        return connection.execute(sql).fetchone()[0]

    stored = dict(connection.execute("SELECT id, name FROM sweeps").fetchall())
    added = [tuple(pair) for report in replies for pair in report.get("added", [])]
    answered = sum(
        (collections.Counter(report.get("done", {})) for report in replies),
        start=collections.Counter(),
    )
    carried = dict(
        connection.execute("SELECT action, count(*) FROM requests GROUP BY 1").fetchall()
    )
    carried["resume"] = carried.get("resume", 0) - len(added)
    return {
        "requests": sum(answered.values()),
        "answered": answered,
        "errors": [report["error"] for report in replies if "error" in report],
        "slowest_answer_s": max((report.get("slowest_s", 0) for report in replies), default=0),
        "sweeps_lost": sum(stored.get(number) != name for number, name in added),
        "sweeps_doubled": len(stored) - len(added),
        "requests_lost_or_doubled": sum(
            abs(carried.get(what, 0) - count) for what, count in answered.items() if what != "list"
        ),
        "jobs": one("SELECT count(*) FROM jobs"),
        "jobs_left": one("SELECT count(*) FROM jobs WHERE state <> 'done'"),
        "jobs_missing": len(added) * JOBS - one("SELECT count(*) FROM jobs"),
        "runs": one("SELECT count(*) FROM runs"),
        "runs_open": one("SELECT count(*) FROM runs WHERE outcome IS NULL"),
        "ok_twice": one(
            "SELECT count(*) FROM (SELECT 1 FROM runs WHERE outcome = 'ok' GROUP BY job_id"
            " HAVING count(*) > 1)"
        ),
        "run_after_ok": one(
            "SELECT count(*) FROM runs AS a JOIN runs AS b ON b.job_id = a.job_id"
            " AND b.attempt > a.attempt WHERE a.outcome = 'ok'"
        ),
        "integrity_check": one("PRAGMA integrity_check"),
    }


def left_running(database: Path) -> int:
    """Processes that bear the database's mark."""
    with closing(sqlite3.connect(database)) as connection:
        return len(marked_processes(read_marker(connection, database.absolute())))


def stress(folder: Path, seconds: float, processes: int) -> dict[str, Any]:
    """The whole of it."""
    for number in range(3):
        (folder / f"m{number}").mkdir()
    context = multiprocessing.get_context("spawn")
    out: SimpleQueue[Any] = context.SimpleQueue()
    worker = context.Process(target=work, args=(folder / "q.db",))
    worker.start()
    until = time.monotonic() + seconds
    others = [
        context.Process(target=disturb, args=(folder, n, until, out)) for n in range(processes)
    ]
    for other in others:
        other.start()
    replies = [out.get() for _ in others]
    for other in others:
        other.join()
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline and sqlite3.connect(folder / "q.db").execute(
        "SELECT count(*) FROM jobs WHERE state <> 'done'"
    ).fetchone() != (0,):
        time.sleep(0.2)
    alive = worker.is_alive()
    worker.terminate()
    worker.join()
    found = evaluate(folder / "q.db", replies)
    return found | {"supervisor_lived": alive, "processes_left": left_running(folder / "q.db")}


def main() -> int:
    """Runs, prints and evaluates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = stress(Path(folder), given.seconds, given.processes)
    print(json.dumps(found, indent=1))
    none = ("errors", "sweeps_lost", "sweeps_doubled", "requests_lost_or_doubled", "jobs_left")
    none += ("jobs_missing", "runs_open", "ok_twice", "run_after_ok", "processes_left")
    well = found["supervisor_lived"] and found["integrity_check"] == "ok"
    return 0 if well and not any(found[name] for name in none) else 1


if __name__ == "__main__":
    sys.exit(main())

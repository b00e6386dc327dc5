"""Kills the supervisor at random moments of a running sweep, and counts the losses.

    python scripts/kill_supervisor.py [--kills 200] [--jobs 300] [--seed 1]

A sweep on a scripted worker is started, SIGKILLed after a random time, resumed, killed again, and
so on; then it is resumed to its end. Every emitted outcome must be in the database, every
job must have ended ok exactly once, no process may be left, and SQLite must find its file sound.
Prints the counts; exit code 1 when anything was lost, doubled or left.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from runner.database.stale_processes import marked_processes, read_marker

# Answers each run after a moment; has a child that would outlive it if it could.
WORKER = """
import json, os, subprocess, sys, time
events = int(sys.argv[sys.argv.index("--events-fd") + 1])
def say(event, **fields):
    os.write(events, json.dumps({"event": event, **fields}).encode() + b"\\n")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
for line in sys.stdin.buffer:
    command = json.loads(line)
    if command["command"] == "load":
        say("loaded", engine="scripted", family="scripted", model_class="Scripted", device="cpu",
            dtype="float32", dtype_reason="scripted", load_s=0.1)
    elif command["command"] == "run":
        say("text", run=command["run"], text="well", output_tokens=1)
        time.sleep(0.01)
        say("run_finished", run=command["run"], raw_text="well", text="well", latency_s=0.01,
            finish_reason="stop", preprocess_s=0.001, input_tokens=1, output_tokens=1)
    else:
        say("worker_exiting", runs=0)
        os._exit(0)
"""

DRIVER = """
import dataclasses, sys
from pathlib import Path
from runner import api
from runner.database.store import Store
from runner.planning import expand, sweepfile
from runner.process.launcher import ShimLauncher
from schemas import stream

class Scripted(ShimLauncher):
    def start(self, spec):
        return super().start(dataclasses.replace(spec, argv=(sys.executable, sys.argv[2])))

def tell(event):
    if isinstance(event, stream.RunFinished):
        print(event.run, event.outcome, flush=True)

folder = Path(sys.argv[1])
store = Store(folder / "h.db")  # a kill may come before the sweep itself was stored
stored = store.db["sweeps"].count
store.close()
if stored:
    api.resume(folder / "h.db", 1, tell, Scripted())
else:
    plan = expand.expand_sweep(sweepfile.read(folder / "sweep.json"), folder, "kill_supervisor")
    api.run(plan, folder / "h.db", tell, Scripted())
"""


class Trial:
    """One sweep that is killed over and over."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder, self.database = folder, folder / "h.db"
        self.emitted: list[tuple[int, str]] = []
        (folder / "model").mkdir()
        (folder / "worker.py").write_text(WORKER)
        prompts = [{"text": f"question {n}", "images": "none"} for n in range(jobs)]
        (folder / "sweep.json").write_text(json.dumps({"models": ["./model"], "prompts": prompts}))

    def go(self, kill_after_s: float | None, at_work: bool = False) -> int:
        """Runs the supervisor, to its end or for some seconds; its exit status.

        The seconds count from its start or, with `at_work`, from the first run it emitted: on a
        busy machine the start may take long.
        """
        command = [sys.executable, "-c", DRIVER, str(self.folder), str(self.folder / "worker.py")]
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        killer = threading.Timer(kill_after_s or 0, driver.kill)
        if kill_after_s is not None and not at_work:
            killer.start()
        assert driver.stdout
        for line in driver.stdout:
            run, _, outcome = line.partition(" ")
            if line.endswith("\n"):
                self.emitted.append((int(run), outcome.strip()))
                if at_work and killer.ident is None:
                    killer.start()
        killer.cancel()
        return driver.wait()

    def left(self) -> int:
        """Processes of the sweep that still live, waited for a second."""
        end, found = time.monotonic() + 1, 1
        while found and time.monotonic() < end:
            with closing(sqlite3.connect(self.database)) as connection:
                found = len(marked_processes(read_marker(connection, self.database)))
        return found

    def verdict(self, jobs: int) -> dict[str, object]:
        """Compares the database with the emitted outcomes."""
        database = sqlite3.connect(self.database)
        outcomes = dict(database.execute("SELECT id, outcome FROM runs"))
        twice = database.execute(
            "SELECT count(*) FROM (SELECT 1 FROM runs WHERE outcome = 'ok' GROUP BY job_id"
            " HAVING count(*) > 1)"
        ).fetchone()[0]
        ok = database.execute("SELECT count(*) FROM results WHERE outcome = 'ok'").fetchone()[0]
        sound = database.execute("PRAGMA integrity_check").fetchone()[0]
        database.close()
        return {
            "jobs_lost": jobs - ok,
            "outcomes_emitted_and_lost": sum(
                outcomes.get(run) != emitted for run, emitted in self.emitted
            ),
            "jobs_done_twice": twice,
            "runs_open": sum(outcome is None for outcome in outcomes.values()),
            "runs_interrupted": sum(outcome == "interrupted" for outcome in outcomes.values()),
            "integrity_check": sound,
        }


def main() -> int:
    """Kills, resumes, counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance, survivors, killed = random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), options.jobs)
        for number in range(options.kills):
            moment = chance.uniform(0.0, 0.6) if number % 2 else chance.uniform(0.3, 1.6)
            killed += trial.go(moment, at_work=bool(number % 2)) != 0
            survivors += trial.left()
        status = trial.go(None)
        found = trial.verdict(options.jobs)
    report = {"kills": killed, "processes_left": survivors, "last_exit": status, **found}
    print(json.dumps(report, indent=1))
    wrong = ("processes_left", "last_exit", "jobs_lost", "outcomes_emitted_and_lost")
    bad = any(report[key] for key in (*wrong, "jobs_done_twice", "runs_open"))
    return 1 if bad or report["integrity_check"] != "ok" else 0


if __name__ == "__main__":
    sys.exit(main())

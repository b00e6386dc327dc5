"""Tries faults in sequence, with the real supervisor, shim and store.

Each trial is a sweep of its own in a forked supervisor, so that a supervisor that hangs, or is
killed on purpose, ends its trial and not the command. Results are read from the database
and from the process table, never from the supervisor's output. All trials share
one temporary database. Nothing is left: neither processes nor files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from schemas import stream
from schemas.states import Outcome

from .. import api
from ..database.reader import Reader
from ..errors import VlmsweepError
from ..planning import expand, sweepfile
from ..planning.plan import Plan
from ..process.launcher import ShimHandle, ShimLauncher, WorkerSpec
from . import faults, process_marks
from .catalogue import Fault
from .result import KILL_S, FaultResult, Row, check_result, log_bytes

TIMEOUT_S = 20.0  # for a whole trial; hang-at-exit takes 10 s of it
BROOD = 6  # shim, worker and the four kinds of descendant
HANG_S, QUICK_HANG_S = 1.5, 0.8
LOAD_S = 2.5  # an interpreter must start within it
NEXT = "the next job"
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class FaultLauncher(ShimLauncher):
    """Real shims around faulty workers, all of them marked."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark

    def start(self, spec: WorkerSpec) -> ShimHandle:
        """Starts one."""
        argv = (sys.executable, "-I", "-S", faults.__file__, self.mark)
        env = {**spec.env, process_marks.VARIABLE: self.mark}
        return super().start(dataclasses.replace(spec, argv=argv, env=env))


class FaultRunner:
    """A temporary database and a mark, in which trials are made."""

    def __init__(self, folder: Path, hang_s: float = HANG_S) -> None:
        self.folder, self.hang_s = folder, hang_s
        self.database = folder / "chaos.db"
        self.log = folder / "supervisor.log"
        self.mark = process_marks.new_mark()
        self.supervisor: int | None = None
        self.launcher: Callable[[str], ShimLauncher] = FaultLauncher

    # Supervisors.

    def plan(self, fault: Fault) -> Plan:
        """A sweep of the fault and a job after it."""
        models = [fault.name, "good"] if fault.where == "model" else ["good"]
        asked = [NEXT] if fault.where == "model" else [fault.name, NEXT]
        for name in models:
            (self.folder / name).mkdir(exist_ok=True)
        limits: dict[str, Any] = {"load_s": 30, "first_token_s": 30, "run_s": 30}
        limits |= fault.limits
        if fault.hangs:
            short = {"first_token_s": self.hang_s, "silence_s": self.hang_s}
            limits |= {"load_s": LOAD_S} if fault.where == "model" else short
        own = {"limits": limits} if fault.where != "supervisor" else {}
        data = {
            "models": [{"id": f"./{models[0]}", **own}, *(f"./{name}" for name in models[1:])],
            "prompts": [{"text": text, "images": "none"} for text in asked],
        }
        return expand.expand_sweep(sweepfile.validate(data, "chaos"), self.folder, "chaos")

    def start(self, plan: Plan, emit: Callable[[Any], None]) -> None:
        """Forks a supervisor that works a plan off."""
        self.log.unlink(missing_ok=True)
        pid = os.fork()
        if pid:
            self.supervisor = pid
            return
        status = 1
        try:
            api.run(plan, self.database, emit, self.launcher(self.mark))
            status = 0
        except BaseException:
            with contextlib.suppress(OSError):
                self.log.write_text(traceback.format_exc())
        finally:
            os._exit(status)

    def wait(self) -> str | None:
        """Waits for the supervisor to exit; returns its problem, or None."""
        assert self.supervisor is not None
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.supervisor, os.WNOHANG)
            if pid:
                self.supervisor = None
                return None if status == 0 else f"the supervisor failed: {self.last_words()}"
            time.sleep(0.01)
        self.kill_supervisor()
        return f"the supervisor did not end within {TIMEOUT_S:g} s"

    def last_words(self) -> str:
        """The last line of a failed supervisor's output."""
        with contextlib.suppress(OSError, IndexError):
            return self.log.read_text().strip().splitlines()[-1]
        return "it left no message"

    def kill_supervisor(self) -> None:
        """SIGKILL, if one is running. Its pid is not reused before it is waited for."""
        if self.supervisor is not None:
            os.kill(self.supervisor, signal.SIGKILL)
            os.waitpid(self.supervisor, 0)
            self.supervisor = None

    def clear(self) -> int:
        """Kills the processes of a trial; returns their number."""
        self.kill_supervisor()
        left = len(process_marks.marked_processes(self.mark))
        process_marks.kill_marked(self.mark)
        return left

    # Trials.

    def run_fault(self, fault: Fault) -> FaultResult:
        """Runs one fault; returns the result."""
        began = time.monotonic()
        try:
            found = (
                self.run_supervisor_kill(fault)
                if fault.where == "supervisor"
                else self.sweep(fault)
            )
        finally:
            left = self.clear()
        left = max(left, found.pop("left", 0))
        wrong = [*found.pop("wrong"), *check_result(fault, found, left)]
        return FaultResult(
            fault=fault.name,
            title=fault.title,
            expected=fault.expected,
            got=found["outcome"],
            phase=found["phase"],
            kill_s=found["kill_s"],
            survivors=left,
            next_ok=found["next_ok"],
            took_s=time.monotonic() - began,
            survived=not wrong,
            why="; ".join(wrong) or None,
        )

    def sweep(self, fault: Fault) -> Row:
        """A sweep with the fault in it."""
        from_outside = fault.name == "killed-from-outside"
        self.start(self.plan(fault), WorkerKiller() if from_outside else lambda _: None)
        wrong = self.wait()
        return self.read(fault) | {"wrong": [wrong] if wrong else []}

    def run_supervisor_kill(self, fault: Fault) -> Row:
        """A supervisor that is killed during a run; the next one must close its open runs."""
        wrong = []
        self.start(self.plan(fault), lambda _: None)
        if len(process_marks.wait_for(self.mark, BROOD, TIMEOUT_S)) < BROOD:
            wrong.append("its worker did not come up")
        self.kill_supervisor()
        began = time.monotonic()
        left = len(process_marks.wait_for(self.mark, 0, KILL_S))
        kill_s = time.monotonic() - began
        self.clear()
        self.start(self.plan(CALM), lambda _: None)
        if why := self.wait():
            wrong.append(why)
        after, found = self.read(CALM), self.read(fault, sweeps_ago=1)
        if (state := self.integrity()) != "ok":
            wrong.append(f"the database is damaged: {state}")
        found["next_ok"] = after["next_ok"] and after["outcome"] == Outcome.OK
        return found | {"kill_s": kill_s, "left": left, "wrong": wrong}

    def integrity(self) -> str:
        """SQLite's own verdict on the trials' database."""
        try:
            with contextlib.closing(sqlite3.connect(self.database)) as connection:
                return str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
        except sqlite3.Error as error:
            return str(error)

    def read(self, fault: Fault, sweeps_ago: int = 0) -> Row:
        """A late sweep's rows: the fault's own, and whether the job after it was done."""
        try:
            with Reader(self.database) as reader:
                answer = reader.query(ROWS, {"ago": sweeps_ago})
                rows = [dict(zip(answer.names, row, strict=True)) for row in answer.rows]
        except VlmsweepError as error:
            return UNKNOWN | {"message": error.message}
        if not rows:
            return dict(UNKNOWN)
        own, *others = rows
        sizes = [log_bytes(row["log_path"]) for row in rows if row["log_path"]]
        done = bool(others) and all(row["outcome"] == Outcome.OK for row in others)
        return own | {"next_ok": done, "log_bytes": max(sizes, default=0)}


CALM = Fault("calm", "", "ok")
UNKNOWN: Row = {"outcome": None, "phase": None, "kill_s": None, "next_ok": False}
# Jobs are in the order they were planned in, so the fault's comes first.
ROWS = """
SELECT results.*, workers.kill_s, workers.killed_processes, workers.log_path
FROM results LEFT JOIN workers ON workers.id = results.worker_id
WHERE results.sweep_id = (SELECT id FROM sweeps ORDER BY id DESC LIMIT 1 OFFSET :ago)
ORDER BY results.job_id
"""


class WorkerKiller:
    """Kills the worker when its first run begins, as the system's out-of-memory killer would."""

    def __init__(self) -> None:
        self.worker: psutil.Process | None = None
        self.done = False

    def __call__(self, event: stream.StreamEvent) -> None:
        """One event of the sweep's."""
        if isinstance(event, stream.WorkerStarted) and event.pid is not None and not self.done:
            self.worker = psutil.Process(event.pid)
        if isinstance(event, stream.RunStarted) and self.worker is not None:
            self.done = True
            self.worker.kill()
            self.worker = None


@contextmanager
def fault_runner(quick: bool) -> Iterator[FaultRunner]:
    """A FaultRunner in a temporary folder; both are always removed."""
    with handle_termination():
        folder = Path(tempfile.mkdtemp(prefix="vlmsweep-chaos-"))
        made = FaultRunner(folder, QUICK_HANG_S if quick else HANG_S)
        try:
            yield made
        finally:
            for number in ENDS:  # nothing may keep us from clearing up
                signal.signal(number, signal.SIG_IGN)
            made.clear()
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def handle_termination() -> Iterator[None]:
    """Lets TERM and a closed terminal end us as Ctrl-C does, so that all is cleared away.

    What was ignored at the start, as by `nohup`, stays ignored.
    """
    handled = [number for number in ENDS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    chosen: list[Fault], quick: bool, on_fault: Callable[[int, Fault], None] = lambda *_: None
) -> list[FaultResult]:
    """Tries faults in turn; each is reported, with its number, before it is tried."""
    results = []
    with fault_runner(quick) as made:
        for number, fault in enumerate(chosen, start=1):
            on_fault(number, fault)
            results.append(made.run_fault(fault))
    return results

"""Checks whether a worker can be killed with all its descendants, with real shims and processes.

The worker and its descendants come from `runner.chaos.faults`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..chaos import faults, process_marks
from ..process.launcher import ShimHandle, ShimLauncher, WorkerSpec
from ..system import host
from .check import Check, state_of

UP_S, GONE_S = 15.0, 5.0
BROOD = 6  # shim, worker and the four kinds of descendant
KINDS = "child, own session, daemon, bare daemon"


def kill_checks() -> Iterator[Check]:
    """Yield a check for each kill mechanism."""
    with tempfile.TemporaryDirectory(prefix="vlmsweep-doctor-") as folder:
        yield from check_tree_kill(Path(folder))
        yield check_supervisor_death(Path(folder))
        yield check_shim_death(Path(folder))
    yield pidfd()
    yield cgroup()


class KillTarget:
    """A shim with a worker to kill; on exit every remaining process is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, process_marks.new_mark()

    def __enter__(self) -> KillTarget:
        argv = (sys.executable, "-I", "-S", faults.__file__, self.mark)
        log, stack = self.folder / f"{self.mark}.log", self.folder / f"{self.mark}.stack"
        spec = WorkerSpec(log=log, stack=stack, argv=argv, env={process_marks.VARIABLE: self.mark})
        self.handle: ShimHandle = ShimLauncher().start(spec)
        self.shim = self.handle.shim.pid
        return self

    def __exit__(self, *_: object) -> None:
        process_marks.kill_marked(self.mark)
        self.handle.close()

    def command(self, **what: object) -> None:
        """Send a command to the worker."""
        self.handle.send(json.dumps(what).encode() + b"\n")

    def wait_until_started(self, count: int) -> list[psutil.Process]:
        """Wait until `count` processes run; return those found in UP_S seconds."""
        return process_marks.wait_for(self.mark, count, UP_S)

    def start_descendants(self) -> list[psutil.Process]:
        """Make the worker start one descendant of each kind."""
        turns = [{"role": "user", "text": "spawn-every-descendant", "images": []}]
        self.command(command="run", run=1, turns=turns, generation={})
        return self.wait_until_started(BROOD)

    def wait_until_gone(self) -> tuple[int, float]:
        """Wait until no process is left; return the number left and the seconds waited."""
        began = time.monotonic()
        left = process_marks.wait_for(self.mark, 0, GONE_S)
        return len(left), time.monotonic() - began


def check_tree_kill(folder: Path) -> Iterator[Check]:
    """Check the adoption of orphans, and the kill that follows an exceeded limit."""
    with KillTarget(folder) as subject:
        family = subject.start_descendants()
        if len(family) < BROOD:
            detail = f"a worker with four descendants did not start within {UP_S:g} s"
            yield Check("kill", "kill of a whole tree", "problem", detail)
            return
        adopted = sum(parent(process) == subject.shim for process in family) - 1
        detail = "subreaper: daemons become children of the shim and cannot escape"
        if adopted < 2:
            detail = "no subreaper: daemons are found by group and by a token in their environment"
        yield Check("kill", "orphans adopted", state_of(adopted == 2, "unavailable"), detail)
        yield check_oom_priority(subject, family)
        subject.handle.kill()
        yield kill_result("kill of a whole tree", "all six", subject)


def kill_result(check: str, who: str, subject: KillTarget) -> Check:
    """Return whether every process was killed, and how fast."""
    left, took_s = subject.wait_until_gone()
    if left:
        return Check("kill", check, "problem", f"{left} of {BROOD} still alive after {GONE_S:g} s")
    return Check("kill", check, "ok", f"{who} gone in {took_s * 1000:.0f} ms ({KINDS})")


def check_oom_priority(subject: KillTarget, family: list[psutil.Process]) -> Check:
    """Check that the kernel prefers to kill the worker, not the supervisor."""
    worker = next((p for p in family if parent(p) == subject.shim), None)
    try:
        theirs = int(Path(f"/proc/{worker.pid if worker else 0}/oom_score_adj").read_text())
        ours = int(Path("/proc/self/oom_score_adj").read_text())
    except (OSError, ValueError):
        return Check("kill", "worker dies first", "unavailable", "no oom_score_adj on this system")
    detail = f"oom_score_adj {theirs} against our {ours}: out of memory, the kernel ends "
    detail += "the worker first" if theirs > ours else "the largest process"
    return Check("kill", "worker dies first", state_of(theirs > ours, "unavailable"), detail)


def check_supervisor_death(folder: Path) -> Check:
    """Check that the shim kills the worker when its supervisor dies."""
    check = "supervisor dies"
    with KillTarget(folder) as subject:
        if len(subject.start_descendants()) < BROOD:
            return Check("kill", check, "problem", "its worker did not start")
        subject.handle.requests.close()
        return kill_result(check, "all six", subject)


def check_shim_death(folder: Path) -> Check:
    """Check that the worker dies with its shim."""
    check = "shim itself dies"
    with KillTarget(folder) as subject:
        subject.command(command="load", model="/nowhere/good")
        if len(subject.wait_until_started(2)) < 2:
            return Check("kill", check, "problem", "its worker did not start")
        time.sleep(0.05)  # PDEATHSIG is set before exec; wait for it
        subject.handle.shim.send_signal(signal.SIGKILL)
        left, took_s = subject.wait_until_gone()
        if not left:
            detail = f"the kernel killed its worker (PDEATHSIG) in {took_s * 1000:.0f} ms"
            return Check("kill", check, "ok", detail)
        detail = "no PDEATHSIG: the worker runs until the next start kills it"
        return Check(
            "kill", check, state_of(False, "problem" if host.LINUX else "unavailable"), detail
        )


def pidfd() -> Check:
    """Check for pidfd: a process handle that is safe when pids are reused."""
    check = "pidfd"
    try:
        handle = os.pidfd_open(os.getpid())
        signal.pidfd_send_signal(handle, 0)
        os.close(handle)
    except (AttributeError, OSError):
        detail = "not on this system: kills use the pid, after checking the process"
        return Check("kill", check, "unavailable", detail)
    detail = "a kill cannot hit another process that reused the pid"
    return Check("kill", check, "ok", detail)


def cgroup() -> Check:
    """Check the version of control groups and whether new groups can be created."""
    check = "cgroup.kill"
    mounts = [line.split() for line in read_lines("/proc/self/mountinfo")]
    kinds = {fields[fields.index("-") + 1]: fields[4] for fields in mounts if "-" in fields}
    if "cgroup2" not in kinds:
        which = "version 1 only" if "cgroup" in kinds else "no control groups"
        return Check("kill", check, "unavailable", f"{which}; kills go by parent and group instead")
    which = "versions 1 and 2" if "cgroup" in kinds else "version 2"
    own = next(
        (line[3:] for line in read_lines("/proc/self/cgroup") if line.startswith("0::")), "/"
    )
    place = Path(kinds["cgroup2"] + own.rstrip("/")) / f"vlmsweep-doctor-{os.getpid()}"
    try:
        place.mkdir()
    except OSError as error:
        detail = f"{which}, not writable ({error.strerror}); kills go by parent and group"
        return Check("kill", check, "unavailable", detail)
    able = (place / "cgroup.kill").exists()
    place.rmdir()
    detail = f"{which}, writable, {'with' if able else 'without'} cgroup.kill; "
    detail += "kills go by parent and group instead, which needs no rights"
    return Check("kill", check, "unavailable", detail)


def read_lines(path: str) -> list[str]:
    """Return a file's lines; none if it cannot be read."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def parent(process: psutil.Process) -> int | None:
    """Return a process's parent pid, or None if it is gone."""
    try:
        return process.ppid()
    except psutil.Error:
        return None

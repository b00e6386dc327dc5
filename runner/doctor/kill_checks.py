"""Can a worker be killed here with all that it started? Real shims and processes are tried.

The worker and its descendants are those of `runner.chaos.faults`.
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


def checks() -> Iterator[Check]:
    """What kills there are, in force or not."""
    with tempfile.TemporaryDirectory(prefix="vlmsweep-doctor-") as folder:
        yield from check_tree_kill(Path(folder))
        yield check_supervisor_death(Path(folder))
        yield check_shim_death(Path(folder))
    yield pidfd()
    yield cgroup()


class KillTarget:
    """A shim with a worker to be killed; whatever happens, nothing of it stays."""

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
        """A command to the worker."""
        self.handle.send(json.dumps(what).encode() + b"\n")

    def wait_until_started(self, count: int) -> list[psutil.Process]:
        """Waits until so many of its processes are there."""
        return process_marks.wait_for(self.mark, count, UP_S)

    def start_descendants(self) -> list[psutil.Process]:
        """Lets the worker start one descendant of each kind."""
        turns = [{"role": "user", "text": "spawn-every-descendant", "images": []}]
        self.command(command="run", run=1, turns=turns, generation={})
        return self.wait_until_started(BROOD)

    def wait_until_gone(self) -> tuple[int, float]:
        """Waits until nothing is left; returns how many are, and how long it took."""
        began = time.monotonic()
        left = process_marks.wait_for(self.mark, 0, GONE_S)
        return len(left), time.monotonic() - began


def check_tree_kill(folder: Path) -> Iterator[Check]:
    """Adoption of orphans, and the kill a broken limit leads to."""
    with KillTarget(folder) as subject:
        family = subject.start_descendants()
        if len(family) < BROOD:
            said = f"a worker with four descendants did not come up within {UP_S:g} s"
            yield Check("kill", "kill of a whole tree", "problem", said)
            return
        adopted = sum(parent(process) == subject.shim for process in family) - 1
        said = "subreaper: daemons become the shim's children, and cannot hide"
        if adopted < 2:
            said = "no subreaper: daemons are found by group and by a token in their environment"
        yield Check("kill", "orphans adopted", state_of(adopted == 2, "not here"), said)
        yield check_oom_priority(subject, family)
        subject.handle.kill()
        yield kill_result("kill of a whole tree", "all six", subject)


def kill_result(check: str, who: str, subject: KillTarget) -> Check:
    """How a kill went."""
    left, took_s = subject.wait_until_gone()
    if left:
        return Check("kill", check, "problem", f"{left} of {BROOD} still lived after {GONE_S:g} s")
    return Check("kill", check, "in force", f"{who} gone in {took_s * 1000:.0f} ms ({KINDS})")


def check_oom_priority(subject: KillTarget, family: list[psutil.Process]) -> Check:
    """Whether the kernel would rather kill the worker than the supervisor."""
    worker = next((p for p in family if parent(p) == subject.shim), None)
    try:
        theirs = int(Path(f"/proc/{worker.pid if worker else 0}/oom_score_adj").read_text())
        ours = int(Path("/proc/self/oom_score_adj").read_text())
    except (OSError, ValueError):
        return Check("kill", "worker dies first", "not here", "no oom_score_adj on this system")
    said = f"oom_score_adj {theirs} against our {ours}: out of memory, the kernel ends "
    said += "the worker first" if theirs > ours else "whoever is largest"
    return Check("kill", "worker dies first", state_of(theirs > ours, "not here"), said)


def check_supervisor_death(folder: Path) -> Check:
    """The end of the supervisor, as its shim sees it."""
    check = "supervisor dies"
    with KillTarget(folder) as subject:
        if len(subject.start_descendants()) < BROOD:
            return Check("kill", check, "problem", "its worker did not come up")
        subject.handle.requests.close()
        return kill_result(check, "all six", subject)


def check_shim_death(folder: Path) -> Check:
    """The worker must not outlive the shim either."""
    check = "shim itself dies"
    with KillTarget(folder) as subject:
        subject.command(command="load", model="/nowhere/good")
        if len(subject.wait_until_started(2)) < 2:
            return Check("kill", check, "problem", "its worker did not come up")
        time.sleep(0.05)  # the worker asks for its parent's death signal before it is itself
        subject.handle.shim.send_signal(signal.SIGKILL)
        left, took_s = subject.wait_until_gone()
        if not left:
            said = f"the kernel killed its worker (PDEATHSIG) in {took_s * 1000:.0f} ms"
            return Check("kill", check, "in force", said)
        said = "no PDEATHSIG: the worker lives on until the next start sweeps it away"
        return Check("kill", check, state_of(False, "problem" if host.LINUX else "not here"), said)


def pidfd() -> Check:
    """A handle on a process that a recycled number cannot fool."""
    check = "pidfd"
    try:
        handle = os.pidfd_open(os.getpid())
        signal.pidfd_send_signal(handle, 0)
        os.close(handle)
    except (AttributeError, OSError):
        said = "not on this system: kills go by number, right after a look at the process"
        return Check("kill", check, "not here", said)
    said = "a kill can never hit another process that got the number since"
    return Check("kill", check, "in force", said)


def cgroup() -> Check:
    """Control groups: which version, and whether we may make groups of our own."""
    check = "cgroup.kill"
    mounts = [line.split() for line in lines("/proc/self/mountinfo")]
    kinds = {fields[fields.index("-") + 1]: fields[4] for fields in mounts if "-" in fields}
    if "cgroup2" not in kinds:
        which = "version 1 only" if "cgroup" in kinds else "no control groups"
        return Check("kill", check, "not here", f"{which}; kills go by parent and group instead")
    which = "version 2 beside 1" if "cgroup" in kinds else "version 2"
    own = next((line[3:] for line in lines("/proc/self/cgroup") if line.startswith("0::")), "/")
    place = Path(kinds["cgroup2"] + own.rstrip("/")) / f"vlmsweep-doctor-{os.getpid()}"
    try:
        place.mkdir()
    except OSError as error:
        said = f"{which}, not ours to write ({error.strerror}); kills go by parent and group"
        return Check("kill", check, "not here", said)
    able = (place / "cgroup.kill").exists()
    place.rmdir()
    said = f"{which}, writable, {'with' if able else 'without'} cgroup.kill; "
    said += "kills go by parent and group instead, which needs no rights"
    return Check("kill", check, "not here", said)


def lines(path: str) -> list[str]:
    """A file's lines; none where there is no such file."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def parent(process: psutil.Process) -> int | None:
    """A process's parent, or None when it is gone."""
    try:
        return process.ppid()
    except psutil.Error:
        return None

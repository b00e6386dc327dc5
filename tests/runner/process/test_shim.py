"""The shim alone: its cost, its reports, and that no process escapes."""

from __future__ import annotations

import os
import platform
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from runner.process import launcher, shim
from runner.process.launcher import SHIM, ShimHandle, ShimLauncher, WorkerSpec, compiled_shim
from runner.process.orphans import OrphanReaper
from runner.system import host
from tests.helpers.waiting import WAIT_S

SLEEP = ("/bin/sh", "-c", "sleep 1000 & exec sleep 1000")
LINUX_ONLY = pytest.mark.skipif(not host.LINUX, reason="a mechanism of Linux")
EXIT_OF_A_THREAD = {"x86_64": 60, "aarch64": 93}.get(platform.machine())
Begin = Callable[..., ShimHandle]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a program behind a shim."""
    holds: list[ShimHandle] = []

    def start(*argv: str) -> ShimHandle:
        spec = WorkerSpec(log=tmp_path / "log", stack=tmp_path / "stack", argv=argv)
        holds.append(ShimLauncher().start(spec))
        os.set_blocking(holds[-1].reports_fd, True)
        return holds[-1]

    yield start
    for handle in holds:
        handle.close()


def next_report(handle: ShimHandle) -> list[str]:
    """One line of the shim's; empty at the end."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(handle.reports_fd, 1)):
        line += byte
    return line.decode().split()


def test_shim_reports_start_exit_and_end(begin: Begin) -> None:
    handle = begin("/bin/sh", "-c", "exit 3")
    assert next_report(handle)[0] == "started"
    assert next_report(handle)[:2] == ["exited", "3"]
    assert next_report(handle)[:3] == ["gone", "0", "0"]
    assert next_report(handle) == []


def test_shim_kills_on_request(begin: Begin) -> None:
    handle = begin(*SLEEP)
    pid = int(next_report(handle)[1])
    handle.kill()
    assert next_report(handle)[:2] == ["exited", "-9"]
    killed, survivors = next_report(handle)[1:3]
    assert int(killed) in (1, 2)  # the shell may not have come to start the second
    assert survivors == "0"
    assert not psutil.pid_exists(pid)


def test_shim_kills_when_its_input_closes(begin: Begin) -> None:
    handle = begin(*SLEEP)
    next_report(handle)
    handle.requests.close()
    assert next_report(handle)[:2] == ["exited", "-9"]


@LINUX_ONLY
def test_kernel_kills_the_worker_of_a_dead_shim(begin: Begin) -> None:
    handle = begin("/bin/sh", "-c", "exec sleep 1000")  # which is given more words
    pid = int(next_report(handle)[1])
    while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"):
        time.sleep(0.001)  # not yet the program
    worker = os.pidfd_open(pid)
    os.kill(handle.guardian, signal.SIGKILL)
    assert select.select([worker], [], [], 5)[0]
    os.close(worker)


def test_program_that_cannot_start_is_reported_as_an_exit(begin: Begin, tmp_path: Path) -> None:
    handle = begin("/no/such/program")
    next_report(handle)
    assert next_report(handle)[:2] == ["exited", "126"]
    assert "cannot start /no/such/program" in (tmp_path / "log").read_text()


@LINUX_ONLY
def test_shim_memory_is_small(begin: Begin) -> None:
    handle = begin(*SLEEP)
    next_report(handle)
    memory = host.process_memory(handle.guardian)
    assert memory
    assert memory.peak
    assert memory.peak < 10_000_000


@pytest.mark.serial
def test_shim_starts_in_tens_of_milliseconds(begin: Begin) -> None:
    taken = []
    for _ in range(5):
        began = time.monotonic()
        next_report(begin(*SLEEP))
        taken.append(time.monotonic() - began)
    assert min(taken) < 0.1  # the fastest, as the machine may be busy


def test_shim_runs_from_source_without_writable_byte_code(
    begin: Begin, monkeypatch, tmp_path: Path
) -> None:
    assert compiled_shim().endswith(".pyc")
    blocked = tmp_path / "blocked"
    blocked.touch()
    monkeypatch.setattr(sys, "pycache_prefix", str(blocked))
    assert compiled_shim() == str(SHIM)
    assert next_report(begin(*SLEEP))[0] == "started"


def test_stale_byte_code_is_not_run() -> None:
    stale = Path(compiled_shim())
    header = stale.read_bytes()[:16]
    other = stale.with_name(f"shim.{secrets.token_hex(4)}")
    other.write_bytes(header[:8] + b"\0\0\0\0" + header[12:])
    assert launcher.is_fresh(stale)
    assert not launcher.is_fresh(other)
    other.unlink()


@LINUX_ONLY
@pytest.mark.skipif(EXIT_OF_A_THREAD is None, reason="the number of the call is not known")
def test_process_whose_first_thread_ended_is_not_dead(begin: Begin) -> None:
    marker = f"headless-{secrets.token_hex(6)}"
    headless = (
        "import ctypes, os, threading, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    threading.Thread(target=time.sleep, args=[1000]).start()\n"
        f"    ctypes.CDLL(None).syscall({EXIT_OF_A_THREAD}, 0)\n"
        "time.sleep(1000)\n"
    )
    handle = begin(sys.executable, "-c", headless, marker)
    worker = psutil.Process(int(next_report(handle)[1]))
    until = time.monotonic() + WAIT_S
    while not any(p.status() == psutil.STATUS_ZOMBIE for p in worker.children()):
        assert time.monotonic() < until
    (child,) = worker.children()
    handle.kill()
    while next_report(handle):
        pass
    assert handle.close() == 0
    assert not psutil.pid_exists(child.pid)


def test_recycled_pid_is_not_killed() -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    try:
        shim.kill_one(pid, b"born at another time")
        if host.LINUX:
            assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_processes_with_the_token_are_found_and_killed() -> None:
    token = secrets.token_hex(8)
    orphans = OrphanReaper(token)
    env = {launcher.TOKEN: token}
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], env)  # in our session: not adopted
    with suppress(ChildProcessError):
        assert orphans.close(kill=True) == 1
        os.waitpid(pid, 0)
    assert not psutil.pid_exists(pid)

"""Starts workers, each behind its own shim, and returns handles to them.

`Launcher` is the interface for starting a worker. Its events are read by
`runner.process.event_reader`; `runner.supervisor.worker_controller` decides when to kill it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import py_compile
import secrets
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .. import own_packages
from .orphans import TOKEN as TOKEN
from .orphans import OrphanReaper

SHIM = Path(__file__).with_name("shim.py")
LOG_BYTES = 8_000_000
STACK_FILE = "VLMSWEEP_STACK_FILE"


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """The command, environment and files of a worker. `stack` is the file for stack dumps."""

    log: Path
    stack: Path
    argv: Sequence[str] = own_packages.command("workers")
    env: Mapping[str, str] = field(default_factory=dict)


class WorkerHandle(Protocol):
    """A started worker: two streams to read, and its controls."""

    events_fd: int
    reports_fd: int
    guardian: int

    def send(self, line: bytes) -> None:
        """Send a command line; never blocks."""

    def flush(self) -> None:
        """Send commands that could not be sent at once."""

    def dump_stack(self) -> None:
        """Ask the worker to write its stack."""

    def kill(self) -> None:
        """Request the kill of the worker and its descendants."""

    def kill_guardian(self) -> None:
        """Kill the shim if it does not react; `close` handles the rest."""

    def close(self) -> int:
        """Release all resources; kills the worker first if it still runs.

        Returns how many processes it had to kill because their shim was dead.
        """


class Launcher(Protocol):
    """Starts workers."""

    def start(self, spec: WorkerSpec) -> WorkerHandle:
        """Start a worker. Raises OSError if the system cannot create the process."""


def compiled_shim() -> str:
    """Return the shim's byte code, which saves 1 MB and parsing; its source if necessary."""
    compiled = Path(importlib.util.cache_from_source(str(SHIM)))
    try:
        if not is_fresh(compiled):
            py_compile.compile(str(SHIM), str(compiled), doraise=True)
    except (OSError, py_compile.PyCompileError):
        return str(SHIM)
    return str(compiled)


def is_fresh(compiled: Path) -> bool:
    """Return whether byte code was made from the current shim, by its header."""
    source = SHIM.stat()
    made_from = struct.pack("<III", 0, int(source.st_mtime) & 0xFFFFFFFF, source.st_size)
    try:
        with compiled.open("rb") as file:
            return bool(file.read(16) == importlib.util.MAGIC_NUMBER + made_from)
    except FileNotFoundError:
        return False


class ShimLauncher:
    """Starts workers on this machine; shim and worker run in their own session."""

    def start(self, spec: WorkerSpec) -> ShimHandle:
        """Start a worker; return as soon as the shim is forked."""
        commands_read, commands_write = os.pipe()
        events_read, events_write = os.pipe()
        token = secrets.token_hex(16)
        argv = [sys.executable, "-I", "-S", compiled_shim(), str(commands_read), str(events_write)]
        argv += [str(spec.log), str(LOG_BYTES), token, *spec.argv]
        argv += ["--events-fd", str(events_write)]
        env = {**os.environ, **spec.env, TOKEN: token, STACK_FILE: str(spec.stack)}
        env.setdefault("PYTHONUNBUFFERED", "1")
        orphans = OrphanReaper(token)
        try:
            shim = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=(commands_read, events_write),
                start_new_session=True,
                env=env,
            )
        except OSError:
            os.close(commands_write)
            os.close(events_read)
            orphans.close(kill=False)
            raise
        finally:
            os.close(commands_read)
            os.close(events_write)
        orphans.set_shim(shim.pid)
        return ShimHandle(shim, commands_write, events_read, orphans)


class ShimHandle:
    """A handle to a worker, through its shim."""

    def __init__(
        self,
        shim: subprocess.Popen[bytes],
        commands_fd: int,
        events_fd: int,
        orphans: OrphanReaper,
    ) -> None:
        assert shim.stdin is not None
        assert shim.stdout is not None
        self.shim, self.guardian, self.orphans = shim, shim.pid, orphans
        self.requests = shim.stdin
        self.reports_fd = shim.stdout.fileno()
        self.commands_fd = commands_fd
        self.events_fd = events_fd
        self.unsent = bytearray()
        for descriptor in (commands_fd, events_fd, self.reports_fd):
            os.set_blocking(descriptor, False)

    def send(self, line: bytes) -> None:
        """Send a command line. `flush` sends the rest if the pipe is full."""
        self.unsent += line
        self.flush()

    def flush(self) -> None:
        """Send queued bytes; a worker that no longer reads is detected by its silence or exit."""
        while self.unsent:
            try:
                del self.unsent[: os.write(self.commands_fd, self.unsent)]
            except BlockingIOError:
                return
            except OSError:
                self.unsent.clear()

    def dump_stack(self) -> None:
        """Request the worker's stack."""
        self.request(b"s")

    def kill(self) -> None:
        """Ask the shim to kill everything."""
        self.request(b"k")

    def request(self, what: bytes) -> None:
        """Send one byte to the shim."""
        with contextlib.suppress(OSError, ValueError):
            self.requests.write(what)

    def kill_guardian(self) -> None:
        """Kill the shim. On Linux the kernel then kills the worker."""
        self.shim.kill()

    def close(self) -> int:
        """End the shim, which kills the rest, and close every descriptor."""
        with contextlib.suppress(OSError):
            self.requests.close()
        try:
            self.shim.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill_guardian()
            self.shim.wait()
        killed = self.orphans.close(kill=self.shim.returncode != 0)
        for descriptor in (self.commands_fd, self.events_fd):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if self.shim.stdout is not None:
            self.shim.stdout.close()
        return killed

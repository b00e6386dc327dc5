"""The faults of a worker as functions: hang, crash, leave processes, write garbage, fill memory.

They know no protocol. `runner.chaos.faults` and the scripted worker of the tests use them. Only the
standard library, and of it what starts fast: a worker that runs with `-I -S` loads this by path.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence

LAST_S = 120  # after which a hanging process ends by itself, should every defence fail
GARBAGE = b"\x00\x01\n\xff\xfe\xc3\n[1, 2]\n{}\nnull\n" + b"[" * 50_000 + b"\n"  # no JSON, no event
TORN_LINE = b'{"event": "run_finished", "run": 1, "raw_text": "ha'
LINE_BYTES = 100_000_000
FLOOD_BYTES = 24_000_000
GROW_EVERY_S = 0.005

# Hanging.


def forever(last_s: float = LAST_S) -> None:
    """Sleeps until killed, or for `last_s` seconds."""
    time.sleep(last_s)
    os._exit(99)


def hold_interpreter_lock(last_s: int = LAST_S, block_signals: bool = True) -> None:
    """Hangs in native code with the interpreter's lock; with blocked signals only KILL ends it."""
    import ctypes

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if block_signals:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(last_s)
    forever(last_s)


def stop_itself() -> None:
    """Stops; a stopped process takes no signal but KILL and CONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


# Descendants. Each becomes `program` with the arguments `argv`, the program's name included.


def spawn_child(program: str, argv: list[str], env: Mapping[str, str]) -> None:
    """A plain child."""
    os.posix_spawn(program, argv, env)


def spawn_in_session(
    program: str, argv: list[str], env: Mapping[str, str], kept: Sequence[int] = ()
) -> None:
    """A child in a new session, out of reach of a kill of the process group.

    The descriptors `kept` stay open in it.
    """
    if os.fork() == 0:
        os.setsid()
        for descriptor in kept:
            os.set_inheritable(descriptor, True)
        os.execve(program, argv, env)


def spawn_daemon(program: str, argv: list[str], env: Mapping[str, str]) -> None:
    """The double fork of a daemon: its parent is gone, so no walk from the worker finds it."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(program, argv, env)
        os._exit(0)
    os.waitpid(child, 0)


# Exits.


def segfault() -> None:
    """A real one, in native code."""
    import ctypes

    disable_core_dumps()
    ctypes.string_at(0)


def abort() -> None:
    """Aborts, as a failed assertion in a library does."""
    disable_core_dumps()
    os.abort()


def disable_core_dumps() -> None:
    """Keeps dumps of intended crashes off the user's disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# Output.


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all bytes, however many `os.write` takes at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_long_line(descriptor: int) -> None:
    """A line of LINE_BYTES, more than anyone should keep in memory."""
    for _ in range(LINE_BYTES // 1_000_000):
        write_all(descriptor, b"x" * 1_000_000)
    write_all(descriptor, b"\n")


def flood_output() -> None:
    """FLOOD_BYTES on standard output and error, more than pipe or log may hold."""
    for _ in range(FLOOD_BYTES // 200_000):
        write_all(1, b"\x00garbage \xff\xfe\n" * 7_000)
        write_all(2, b'{"event": "worker_exiting", "runs": 1}\n' * 3_600)


# Memory.


def grow_memory(step_bytes: int, limit_bytes: int | None = None) -> None:
    """Takes memory, touched, until it is killed or has `limit_bytes`; then keeps it."""
    hoard: list[bytes] = []
    while limit_bytes is None or len(hoard) * step_bytes < limit_bytes:
        hoard.append(bytes([len(hoard) % 255 + 1]) * step_bytes)
        time.sleep(GROW_EVERY_S)
    forever()

"""Keeps the machine awake while sweeps run, where the system lets us.

The library wakepy asks the desktop (D-Bus) or macOS (caffeinate); on Linux without a desktop
systemd-inhibit is tried. Either inhibitor ends with this process, even if this process is killed.
If sleep cannot be inhibited, one message reports it and the sweep continues.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress

from schemas import stream
from schemas.stream import EventSink

# Under the inhibitor, cat ends when our end of its pipe is closed, by us or by our death.
INHIBIT = (
    "systemd-inhibit",
    "--what=sleep:idle",
    "--who=vlmsweep",
    "--why=models are at work",
    "--mode=block",
    "cat",
)
REPLY_TIMEOUT_S = 2.0


class InhibitUnavailable(Exception):
    """A way to stay awake does not work here."""


class SleepInhibitor:
    """Holds the machine awake from a sweep's start until no sweep is under way."""

    def __init__(self, emit: EventSink) -> None:
        self.emit = emit
        self.said = False
        self.sweeps: set[str] = set()
        self.held = ExitStack()

    def __call__(self, event: stream.StreamEvent) -> None:
        """One event. Never raises."""
        if isinstance(event, stream.SweepStarted):
            if not self.sweeps:
                self.acquire()
            self.sweeps.add(event.sweep)
        elif isinstance(event, stream.SweepFinished):
            self.sweeps.discard(event.sweep)
            if not self.sweeps:
                self.close()

    def acquire(self) -> None:
        """Tries each method in turn, and reports the result once."""
        method, why = None, []
        for variant in (inhibit_with_wakepy, inhibit_with_systemd):
            try:
                method = variant(self.held)
                break
            except Exception as error:
                why.append(str(error) or type(error).__name__)
        if not self.said:
            self.said = True
            reasons = "; ".join(why)
            message = None if method else f"the machine may fall asleep meanwhile: {reasons}"
            self.emit(stream.SleepInhibited(ok=method is not None, method=method, message=message))

    def close(self) -> None:
        """Lets the machine sleep again."""
        with suppress(Exception):
            self.held.close()


def inhibit_with_wakepy(held: ExitStack) -> str:
    """By what wakepy knows; the method's name."""
    from wakepy import keep

    mode = held.enter_context(keep.running(on_fail="pass"))
    if not mode.active:
        raise InhibitUnavailable("no desktop session to ask")
    return str(mode.method.name if mode.method else "wakepy")


def inhibit_with_systemd(held: ExitStack) -> str:
    """Inhibits sleep with systemd, without a desktop; active once `cat` answers under it."""
    if sys.platform != "linux" or shutil.which(INHIBIT[0]) is None:
        raise InhibitUnavailable(f"{INHIBIT[0]} is not installed")
    # Its own process group: Ctrl-C, which lets a run finish, does not end it.
    child = subprocess.Popen(
        INHIBIT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        process_group=0,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError):
        child.stdin.write(b"\n")
    if select.select([child.stdout], [], [], REPLY_TIMEOUT_S)[0] and child.stdout.read(1):
        held.callback(stop_inhibitor, child)
        return INHIBIT[0]
    raise InhibitUnavailable(f"{INHIBIT[0]}: {stop_inhibitor(child)}")


def stop_inhibitor(child: subprocess.Popen[bytes]) -> str:
    """Ends the inhibitor; returns what it last complained of."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    with child.stdin, child.stdout, child.stderr:
        child.stdin.close()
        try:
            child.wait(REPLY_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        os.set_blocking(child.stderr.fileno(), False)
        lines = (child.stderr.read() or b"").decode("utf-8", "replace").splitlines()
    messages = [line.strip() for line in lines if line.strip()]
    return messages[-1] if messages else "it gave no answer"

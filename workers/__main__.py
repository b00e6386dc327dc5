"""`python -m workers --events-fd N`: set up the descriptors, then serve.

What happens here happens before anything can print, fork or be interrupted, so the order of
the steps matters. The work itself is in `serve`.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO, NoReturn

from schemas.shared.redact import Redactor

from .main_loop import serve
from .protocol import EventWriter

STACK_FILE = "VLMSWEEP_STACK_FILE"


def main(arguments: list[str] | None = None) -> NoReturn:
    """Serve until `stop`, then exit at once without running exit handlers."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--events-fd", type=int, required=True, metavar="N")
    options = parser.parse_args(arguments)
    commands = take_stdin()
    os.set_inheritable(options.events_fd, False)
    os.set_blocking(options.events_fd, True)
    report_crashes()
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor handles Ctrl-C
    code = serve(commands, EventWriter(options.events_fd, redact=Redactor()))
    with contextlib.suppress(OSError, ValueError):  # a log that is gone must not change the code
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def take_stdin() -> BinaryIO:
    """The commands' stream on a private descriptor; descriptor 0 reads as empty from now on.

    A library that asks a question, or a child that reads its input, must not eat commands.
    """
    private = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return os.fdopen(private, "rb")


def report_crashes() -> None:
    """Write Python stacks to STACK_FILE on a crash, and of all threads on SIGUSR1."""
    path = os.environ.get(STACK_FILE)
    # Left open for the whole life of the process: faulthandler writes to its descriptor.
    file = Path(path).open("a", encoding="utf-8") if path else sys.stderr  # noqa: SIM115
    faulthandler.enable(file)
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, file=file, all_threads=True, chain=False)


if __name__ == "__main__":
    main()

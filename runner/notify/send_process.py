"""A message on its way: a child process that sends it, watched without waiting for it.

The child is in our session, since a new one would look like a leftover worker, but in a new
process group, so that Ctrl-C does not end it and the whole group can be killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import own_packages

LIMIT_S = 60.0
CHECK_S = 20.0
CHILD = own_packages.command("runner.notify.send")


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A message and its addresses; `facts` are the command's variables."""

    urls: list[str]
    command: str | None = None
    database: str = ""
    title: str = ""
    body: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class SendProcess:
    """One message and the process that sends it."""

    def __init__(self, task: SendRequest) -> None:
        """Starts the process. A system without room for it is a failure like others."""
        self.child: subprocess.Popen[bytes] | None = None
        self.failure: str | None = None
        self.began = time.monotonic()
        self.answer = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with tempfile.TemporaryFile() as given:  # nameless; a pipe might be full
                given.write(json.dumps(asdict(task)).encode())
                given.seek(0)
                self.child = subprocess.Popen(
                    CHILD,
                    stdin=given,
                    stdout=self.answer,
                    stderr=subprocess.DEVNULL,
                    process_group=0,
                )
        except OSError as error:
            self.answer.close()
            self.failure = f"no process could be started: {error.strerror}"

    def poll(self, wait: bool = False) -> list[str] | None:
        """Failed addresses with reasons; None while it is being sent."""
        if self.child is None:
            return [self.failure or "no process could be started"]
        left = self.began + LIMIT_S - time.monotonic()
        if wait:
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(max(0.0, left))
        status = self.child.poll()
        if status is None and left > 0 and not wait:
            return None
        if status is None:
            self.kill()
            return [f"no answer within {LIMIT_S:g} s"]
        with self.answer:
            self.answer.seek(0)
            answer = self.answer.read()
        try:
            return [str(failure) for failure in json.loads(answer)]
        except (ValueError, TypeError):
            return [f"the sending process ended with status {status}"]

    def kill(self) -> None:
        """Kills the process and its descendants."""
        if self.child is not None:
            with suppress(OSError), self.answer:
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()


def find_unknown_urls(urls: Sequence[str]) -> list[str]:
    """The addresses that apprise does not know, each by its place and scheme only."""
    given = json.dumps(asdict(SendRequest(list(urls))))
    try:
        done = subprocess.run(
            [*CHILD, "--check"], input=given.encode(), capture_output=True, timeout=CHECK_S
        )
        return [str(wrong) for wrong in json.loads(done.stdout)]
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError):
        return ["apprise could not be run"]

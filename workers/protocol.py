"""JSON lines in and out: commands from a descriptor, events to another.

Nothing here knows what the lines mean. Standard output is not involved: text that a library
prints, from Python or from C, cannot reach the stream.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from schemas.commands import Command, Load, Run, Stop, Turn, Video
from schemas.events import Event
from schemas.generation import Generation
from schemas.shared.redact import redact_head

from .error_classes import WorkerFailure

EXIT_NOBODY_LISTENS = 4
COMMANDS: dict[str, type[Load] | type[Run] | type[Stop]] = {"load": Load, "run": Run, "stop": Stop}


class EventWriter:
    """Writes whole events, one line each, from any thread, in the order of `seq`.

    Adds `seq` (from 1) and `at_s` (seconds since this writer was made) to every line. What
    JSON or UTF-8 can't carry is replaced: NaN and infinities by null, lone surrogates by
    U+FFFD. `redact` sees every string last. Where nobody reads any more the process leaves.
    """

    def __init__(
        self,
        fd: int,
        *,
        redact: Callable[[str], str] = lambda text: text,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fd, self._redact, self._clock = fd, redact, clock
        self._lock = threading.Lock()
        self._seq, self._start = 0, clock()

    def __call__(self, event: Event) -> None:
        """Send one event; returns when the operating system has all of it."""
        plain = self._plain(dataclasses.asdict(event))
        with self._lock:
            self._seq += 1
            plain |= {"seq": self._seq, "at_s": round(self._clock() - self._start, 6)}
            line = json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
            self._write(line.encode("ascii") + b"\n")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:  # broken pipe or closed: the supervisor is gone, so nobody needs us
            os._exit(EXIT_NOBODY_LISTENS)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._plain(str(key)): self._plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        if isinstance(value, str):
            data = value.encode("utf-16-le", "surrogatepass")  # joins the halves of a character
            return self._redact(data.decode("utf-16-le", "replace"))
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value


def read_commands(stream: BinaryIO) -> Iterator[Command]:
    """The commands as they arrive, until end of file. Blank lines are skipped.

    Raises `WorkerFailure("protocol")` if a line is not a command.
    """
    for line in iter(stream.readline, b""):
        if line.strip():
            yield parse_command(line)


def parse_command(line: bytes) -> Command:
    """One command from its JSON; unknown keys are an error, for both sides ship together."""
    try:
        fields = json.loads(line)
        kind = COMMANDS[fields["command"]]
        if kind is Run:
            fields["turns"] = tuple(_turn(turn) for turn in fields["turns"])
            fields["generation"] = Generation(**fields["generation"])
        return kind(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        shown = redact_head(line, 200, "backslashreplace")
        raise WorkerFailure("protocol", f"Not a command: {shown} ({error!r})") from error


def _turn(fields: dict[str, Any]) -> Turn:
    videos = tuple(
        Video(**{**video, "frames": tuple(video["frames"]), "times_s": tuple(video["times_s"])})
        for video in fields.get("videos", ())
    )
    return Turn(**{**fields, "images": tuple(fields.get("images", ())), "videos": videos})

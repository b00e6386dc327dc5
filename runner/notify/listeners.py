"""Listeners of a running sweep: one prevents sleep, one sends notifications.

Both receive the same events as the view; an error in one does not affect the sweep.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from schemas import stream
from schemas.stream import EventSink

SECRET = ("VLMSWEEP_NOTIFY", "VLMSWEEP_NOTIFY_COMMAND")


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """The user's options for listeners of a sweep."""

    allow_sleep: bool = False
    notify: Sequence[str] = ()
    command: str | None = None


@contextmanager
def attach_listeners(
    emit: EventSink, database: Path, wanted: ListenerOptions
) -> Iterator[EventSink]:
    """A `tell` that also tells the company. Raises NotifyError when messages cannot be sent."""
    for name in SECRET:  # workers run models' own code, and would inherit it
        os.environ.pop(name, None)
    listeners: list[EventSink] = []
    closing = []
    if wanted.notify or wanted.command:
        from . import Notifier

        notifier = Notifier(emit, database, wanted.notify, wanted.command)
        listeners.append(notifier)
        closing.append(notifier.close)
    if not wanted.allow_sleep:
        from ..system.keep_awake import SleepInhibitor

        awake = SleepInhibitor(emit)
        listeners.append(awake)
        closing.append(awake.close)

    def everyone(event: stream.StreamEvent) -> None:
        emit(event)
        for listener in listeners:
            with suppress(Exception):
                listener(event)

    try:
        yield everyone
    finally:
        for close in reversed(closing):
            with suppress(Exception):
                close()

"""Connects the event sinks of a command: terminal output and notifications."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .supervisor_options import to_listener_options

if TYPE_CHECKING:
    from schemas.stream import EventSink


@contextmanager
def event_output(
    path: Path, given: dict[str, Any], *, json: bool, quiet: bool
) -> Iterator[EventSink]:
    """Yield an event sink for standard output and for the listeners of LISTENER_OPTIONS."""
    from runner.notify import listeners
    from runner.view import sinks

    how = sinks.choose_mode(sys.stdout, json=json, quiet=quiet)
    with (
        sinks.open_sink(how, sys.stdout, sys.stderr) as view,
        listeners.attach_listeners(view, path, to_listener_options(given)) as emit,
    ):
        yield emit

"""How a worker is started in the interpreter its model named."""

from __future__ import annotations

import json
import sys

from ..planning.plan import ELSEWHERE
from ..text.sanitize import display_path
from . import cache, worker_path
from .probe import InterpreterError, probe

Command = tuple[tuple[str, ...], dict[str, str]]


def worker_command(python: str | None, module: str = "workers") -> Command:
    """The beginning of a worker's command line, and variables to set for it.

    With None it is our own interpreter. Where the interpreter cannot be used, the command is that
    of a stand-in which refuses the load and says why, so that the model fails like any other.
    """
    # -P: a stray json.py in the user's folder must not be imported.
    if python is None:
        return (sys.executable, "-P", "-m", module), {}
    try:
        check(python)
        path = str(worker_path.worker_path())
    except (InterpreterError, OSError) as error:
        hint = getattr(error, "hint", None)
        said = json.dumps({"message": getattr(error, "message", str(error)), "hint": hint})
        return (sys.executable, "-P", "-m", "workers.failing_worker", said), {}
    return (python, "-P", "-m", module), {"PYTHONPATH": path, "PYTHONHOME": ""}


def check(python: str) -> None:
    """Whether workers can run there. Raises InterpreterError with what is known of it."""
    if python.startswith(ELSEWHERE):  # a program that a stranger's file names is not run
        raise InterpreterError(
            "the environment it ran in is another machine's, where the sweep was imported from",
            hint="run its sweep file here, which makes or names an environment of this machine",
        )
    slot = cache.find_cached_environment(python)
    if slot is not None and not slot.exists:
        note = slot.read()
        if note is not None and note.message:
            raise InterpreterError(note.message, hint=note.hint)
        raise InterpreterError(
            f"the environment at {display_path(slot.folder)} is not there any more",
            hint="vlmsweep resume makes it again",
        )
    probe(python)

"""Builds the command line of a worker, for the interpreter of its model."""

from __future__ import annotations

import json

from .. import own_packages
from ..planning.plan import ELSEWHERE
from ..text.sanitize import display_path
from . import cache, worker_path
from .probe import InterpreterError, probe

Command = tuple[tuple[str, ...], dict[str, str]]


def worker_command(python: str | None, module: str = "workers") -> Command:
    """Return the start of a worker's command line, and the variables to set for it.

    None is vlmsweep's own interpreter. For an interpreter that cannot be used, the command runs
    `workers.failing_worker`, which reports the error as a failed load.
    """
    if python is None:
        return own_packages.command(module), {}
    try:
        check_interpreter(python)
        path = str(worker_path.worker_path())
    except (InterpreterError, OSError) as error:
        hint = getattr(error, "hint", None)
        failure = json.dumps({"message": getattr(error, "message", str(error)), "hint": hint})
        return own_packages.command("workers.failing_worker", failure), {}
    return (python, "-P", "-m", module), {"PYTHONPATH": path, "PYTHONHOME": ""}


def check_interpreter(python: str) -> None:
    """Check that workers can run in an interpreter. Raises InterpreterError if not."""
    if python.startswith(ELSEWHERE):  # never run a program named by an imported file
        raise InterpreterError(
            "its environment is on the machine that the sweep was imported from",
            hint="run its sweep file here, which creates or names an environment of this machine",
        )
    slot = cache.find_cached_environment(python)
    if slot is not None and not slot.exists:
        note = slot.read()
        if note is not None and note.message:
            raise InterpreterError(note.message, hint=note.hint)
        raise InterpreterError(
            f"the environment at {display_path(slot.folder)} no longer exists",
            hint="vlmsweep resume creates it again",
        )
    probe(python)

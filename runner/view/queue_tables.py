"""The queue's tables. Definitions only; rows come from `runner.database.queue_status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..text.units import pluralize
from .grid import Column, Grid, grid
from .sweep_state import describe_state, local_time

Record = Mapping[str, Any]


def added_message(reply: Record) -> str:
    """One line about a sweep that was added."""
    name = f", {reply['name']}" if reply["name"] else ""
    known = f"sweep {reply['sweep']}{name} ({reply['uid']})"
    if not reply["jobs"]:
        return f"stored as {known}: nothing to run, all its jobs are excluded"
    return f"queued as {known}: {pluralize(reply['jobs'], 'job')}"


def progress(row: Record) -> str:
    """Jobs done, of all."""
    return f"{row['done']}/{row['jobs']}"


SWEEPS = (
    Column("number", "No", "number"),
    Column("name", "Name", of=lambda row: row["name"] or row["uid"]),
    Column("label", "Label", optional=True),
    Column("state", "State", of=describe_state, least=10),
    Column("priority", "Priority", optional=True, of=lambda row: row["priority"] or None),
    Column("done", "Done", of=progress),
    Column("models", "Models", "number"),
    Column("expected_s", "Left", "seconds"),
    Column("ends_at", "Ends about", of=lambda row: local_time(row["ends_at"])),
)
MODELS = (
    Column("model", "Model", least=16, middle=True),
    Column("state", "State", of=describe_state),
    Column("done", "Done", of=progress),
    Column("expected_s", "Left", "seconds"),
)
JOBS = (
    Column("job", "Job", "number"),
    Column("model", "Model", least=8, middle=True),
    Column("image", "Image", least=8),
    Column("prompt", "Prompt", least=8),
    Column("state", "State", of=describe_state),
    Column("outcome", "Last outcome", optional=True),
)
COMPARED = (
    Column("model", "Model", least=8, middle=True),
    Column("image", "Image", least=8),
    Column("prompt", "Prompt", least=8),
    Column("verdict", "Verdict", least=10),
    Column("alone", "Alone", least=10),
    Column("in_order", "After others", least=10),
    Column("reversed", "In reverse", least=10),
)


def sweeps(rows: Sequence[Record]) -> Grid:
    """The sweeps that wait or run."""
    return grid(rows, SWEEPS, nothing="Nothing waits or runs. vlmsweep queue add adds a sweep.")


def models_table(rows: Sequence[Record]) -> Grid:
    """A sweep's models, in the order in which they run."""
    return grid(rows, MODELS)


def jobs(rows: Sequence[Record]) -> Grid:
    """A sweep's jobs."""
    return grid(rows, JOBS, nothing="No job of it waits or runs.")


def compared(rows: Sequence[Record]) -> Grid:
    """Jobs in several orders."""
    return grid(rows, COMPARED, nothing="Every text is the same in any order.")


def changed_message(verb: str, kind: str, reply: Record) -> str:
    """The result of a change to the queue: `verb` and the number of sweeps, models or jobs."""
    jobs = next((reply[key] for key in ("queued", "skipped", "removed") if key in reply), None)
    line = f"{pluralize(reply['changed'], kind) if jobs is None else pluralize(jobs, 'job')} {verb}"
    return f"{line}, {pluralize(reply['killed'], 'run')} killed" if "killed" in reply else line

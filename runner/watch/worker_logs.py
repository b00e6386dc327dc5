"""Finds, reads and follows the log of a worker.

The shim keeps the newest part of a log under its name and one older part under NAME.1. Nothing is
written.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from ..database.file_names import files_folder
from ..database.liveness import has_supervisor
from ..database.reader import Reader
from ..errors import QueryError
from ..text.sanitize import strip_control_characters

LOOK_EVERY_S = 0.2
# Colours, cursor moves, titles: whole sequences, so that no half of one is left to see.
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")

WORKER = """
SELECT workers.id, number, ifnull(first.name, variants.name) AS model, sweeps.uid,
    ifnull(sweeps.name, sweeps.uid) AS sweep, log_path, workers.ended_at,
    stack, killed_for
FROM workers JOIN sweeps ON sweeps.id = workers.sweep_id
JOIN sweep_models AS variants ON variants.id = workers.sweep_model_id
LEFT JOIN sweep_models AS first ON first.id = variants.fallback_of
"""


def find(reader: Reader, sweep: str | None, number: int | None) -> dict[str, Any]:
    """Return a worker by its number in its sweep; the newest without a number.

    Without a sweep, that of the most recent worker is used. Raises QueryError if there is no such
    worker.
    """
    id = None if sweep is None else reader.sweep(sweep)["id"]
    newest = f"{WORKER} WHERE ?1 IS NULL OR workers.sweep_id = ?1 ORDER BY workers.id DESC LIMIT 1"
    found = reader.records(newest, id)
    if not found:
        raise QueryError("no worker was started yet" + (f" for {sweep}" if sweep else ""))
    if number is None or number == found[0]["number"]:
        return found[0]
    uid = found[0]["uid"]
    chosen = reader.records(f"{WORKER} WHERE sweeps.uid = ? AND number = ?", uid, number)
    if not chosen:
        raise QueryError(
            f"{found[0]['sweep']} has no worker {number}",
            hint=f"its workers are numbered from 1 to {found[0]['number']}; --sweep says of which",
        )
    return chosen[0]


def title(worker: dict[str, Any]) -> str:
    """Return the line that says whose log it is."""
    state = "ended" if worker["ended_at"] else "running"
    return f"Worker {worker['number']} of {worker['sweep']}: {worker['model']}, {state}"


def stack(worker: dict[str, Any]) -> str:
    """Return the Python stack from when a worker was killed. Raises QueryError without one."""
    if not worker["stack"]:
        why = "no stack could be taken" if worker["killed_for"] else "it was not killed"
        raise QueryError(f"there is no stack of worker {worker['number']}: {why}")
    return str(worker["stack"])


def log_path(worker: dict[str, Any], database: Path) -> Path:
    """Return the path of the log: as stored, or next to the database if that was moved.

    Raises QueryError if the file is missing.
    """
    written = Path(worker["log_path"])
    moved = files_folder(database) / "logs" / worker["uid"] / written.name
    for log in (written, moved):
        if parts(log):
            return log
    raise QueryError(
        f"the log of worker {worker['number']} is gone: {written}",
        hint="it was pruned, or the worker was never started",
    )


def parts(log: Path) -> list[Path]:
    """Return the existing parts of a log, the older first."""
    return [part for part in (log.with_name(log.name + ".1"), log) if part.is_file()]


def tail(log: Path, lines: int | None) -> Iterator[bytes]:
    """Yield the lines of a log, or only the last `lines`."""
    with ExitStack() as held:
        files = [held.enter_context(part.open("rb")) for part in parts(log)]
        yield from tail_files(files, lines)


def tail_files(files: Sequence[BinaryIO], lines: int | None) -> Iterator[bytes]:
    """Yield the lines of some files, or the last of them; reads the files to their ends."""
    every = chain.from_iterable(files)
    return every if lines is None else iter(deque(every, maxlen=lines))


def follow(log: Path, lines: int | None, database: Path, worker: int) -> Iterator[bytes]:
    """Yield the log's lines, and then new ones until the worker has exited."""
    with ExitStack() as held:
        file, older = held.enter_context(log.open("rb")), log.with_name(log.name + ".1")
        before = [held.enter_context(older.open("rb"))] if older.is_file() else []
        yield from tail_files([*before, file], lines)
        while True:
            over = worker_ended(database, worker)  # before reading, so that the last lines are read
            yield from file
            if was_rotated(log, file.fileno()):
                yield from file  # it was full, and became the older part
                file = held.enter_context(log.open("rb"))
            elif over:
                return
            else:
                time.sleep(LOOK_EVERY_S)


def was_rotated(log: Path, descriptor: int) -> bool:
    """Return whether another file has the log's name."""
    try:
        return not os.path.samestat(log.stat(), os.fstat(descriptor))
    except OSError:
        return False


def worker_ended(database: Path, worker: int) -> bool:
    """Return whether a worker has ended, or has no supervisor."""
    with Reader(database) as reader:
        rows = reader.records("SELECT ended_at FROM workers WHERE id = ?", worker)
    return not rows or rows[0]["ended_at"] is not None or not has_supervisor(database)


def terminal_lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Yield lines without control sequences; of a progress bar the last state."""
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece.decode("utf-8", "replace")).split("\n")
        yield from (line_of(line) + "\n" for line in lines)
    if rest:
        yield line_of(rest) + "\n"


def line_of(line: str) -> str:
    """Return a line's final state on a screen."""
    shown = [text for text in ESCAPES.sub("", line).split("\r") if text]
    return strip_control_characters(shown[-1]) if shown else ""

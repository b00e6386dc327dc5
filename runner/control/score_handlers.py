"""Handlers of `vlmsweep judge`: batches of limited size, so that the event loop stays free.

The client matches reference answers with jobs; `runner.database.score_writer` stores and scores.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

from ..database import score_writer
from ..database.store import Store
from .protocol import RequestError
from .registry import HandlerResult, QueueChange, action

LINES = 500


@action("expect")
def store_references(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Store a batch of reference answers from a staged file, one line per job.

    Returns the offset to continue at, None at the end of the file.
    """
    at = int(arguments["at"])
    if not at and arguments["replace"]:
        score_writer.delete_references(store.connection, int(arguments["sweep"]))
    try:
        with Path(arguments["staged"]).open("rb") as file:
            file.seek(at)
            lines = list(islice(file, LINES))
    except OSError as error:
        raise RequestError(f"the staged answers cannot be read: {error}") from error
    for line in lines:
        job, accepted = json.loads(line)
        score_writer.store_reference(store.connection, job, accepted, arguments["metrics"])
    there = at + sum(map(len, lines))
    return {"at": there if len(lines) == LINES else None}, QueueChange()


@action("judge")
def judge(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Check and score a batch of a sweep's runs; return the last one, None at the end."""
    some = score_writer.score_batch(
        store.connection, int(arguments["sweep"]), int(arguments["after"])
    )
    return {"checked": some.checked, "scored": some.scored, "last": some.last}, QueueChange()

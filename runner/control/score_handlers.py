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


@action("set_reference_answers")
def store_references(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Store a batch of reference answers from a staged file, one line per job.

    Returns the offset to continue at, None at the end of the file.
    """
    offset = int(arguments["offset"])
    if not offset and arguments["replace"]:
        score_writer.delete_references(store.connection, int(arguments["sweep"]))
    try:
        with Path(arguments["staging_path"]).open("rb") as file:
            file.seek(offset)
            lines = list(islice(file, LINES))
    except OSError as error:
        raise RequestError(f"the staged answers cannot be read: {error}") from error
    for line in lines:
        job, answers = json.loads(line)
        score_writer.store_reference(store.connection, job, answers, arguments["metrics"])
    end = offset + sum(map(len, lines))
    return {"offset": end if len(lines) == LINES else None}, QueueChange()


@action("score")
def score(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Check and score a batch of a sweep's runs; return the last one, None at the end."""
    batch = score_writer.score_batch(
        store.connection, int(arguments["sweep"]), int(arguments["after_run_id"])
    )
    reply = {"checked": batch.checked, "scored": batch.scored, "last_run_id": batch.last}
    return reply, QueueChange()

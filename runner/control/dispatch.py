"""Executes a request: each exactly once, in one transaction, under the request's uid."""

from __future__ import annotations

import json

from ..database.store import Store, canonical_json
from ..system.timestamps import utc_now
from . import handlers, reorder_handlers, score_handlers
from .protocol import Request, RequestError
from .registry import ACTIONS, HandlerResult, QueueChange

HANDLERS = (handlers, reorder_handlers, score_handlers)  # importing them fills ACTIONS


def execute(store: Store, request: Request) -> HandlerResult:
    """Execute a request, unless it was executed before. Raises RequestError if it is not
    possible.
    """
    done = store.connection.execute(
        "SELECT reply FROM requests WHERE uid = ?", [request.uid]
    ).fetchone()
    if done:
        return json.loads(done[0]), QueueChange()
    if request.action not in ACTIONS:
        raise RequestError(f"there is no action {request.action!r}", "is this vlmsweep older?")
    if request.action == "add":  # merging makes its own transaction, and may be done twice
        handlers.merge_staged_sweep(store, request.arguments)
    with store.db.atomic():
        reply, effect = ACTIONS[request.action](store, request.arguments)
        row = {
            "uid": request.uid,
            "processed_at": utc_now(),
            "action": request.action,
            "arguments": canonical_json(request.arguments),
            "reply": canonical_json(reply),
        }
        store.insert("requests", row)
    return reply, effect

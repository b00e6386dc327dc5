"""The handler of `vlmsweep queue move`: order of sweeps, models and jobs.

Ranks order sweeps of the same priority. A sweep that moves before another takes its priority.
"""

from __future__ import annotations

import json
from typing import Any

from ..database.store import Store
from .protocol import RequestError
from .registry import TABLES, HandlerResult, QueueChange, action

PARENTS = {"sweep": "1", "model": "sweep_id", "job": "ifnull(fallback_id, sweep_model_id)"}


@action("move")
def move(store: Store, arguments: dict[str, Any]) -> HandlerResult:
    """Move a sweep, model or job to the front, to the end or before another, or set a priority."""
    level, id = arguments["level"], int(arguments["id"])
    if arguments.get("priority") is not None:
        store.update("sweeps", id, {"priority": int(arguments["priority"])})
        return {"priority": int(arguments["priority"])}, QueueChange()
    rank = new_rank(store, level, id, arguments)
    if level == "sweep":
        raise_priority(store, id, arguments)
    if level == "model":
        store.connection.execute(
            "UPDATE sweep_models SET rank = ?1 WHERE id = ?2 OR fallback_of = ?2", [rank, id]
        )
    else:
        store.update(TABLES[level], id, {"rank": rank})
    return {"rank": rank}, QueueChange()


def new_rank(store: Store, level: str, id: int, arguments: dict[str, Any]) -> float:
    """Return the new rank; with `before`, siblings are ranked 0, 1, 2... first."""
    table, parent = TABLES[level], PARENTS[level]
    open_ones = {
        "sweep": "state <> 'done'",
        "model": "fallback_of IS NULL",
        "job": "state <> 'done'",
    }
    tie = {"sweep": "id", "model": "position", "job": "position"}[level]
    ids = [
        row[0]
        for row in store.connection.execute(
            f"SELECT id FROM {table} WHERE {parent} = (SELECT {parent} FROM {table} WHERE id = ?)"
            f" AND {open_ones[level]} AND id <> ? ORDER BY rank, {tie}",
            [id, id],
        )
    ]
    if arguments["to"] == "first":
        return boundary_rank(store, table, ids, "min") - 1
    if arguments["to"] == "last":
        return boundary_rank(store, table, ids, "max") + 1
    before = int(arguments["before"])
    if before not in ids:
        raise RequestError("the `--before` target is not at the same level of the queue")
    for rank, other in enumerate(ids):
        store.update(table, other, {"rank": rank})
    return ids.index(before) - 0.5


def raise_priority(store: Store, id: int, arguments: dict[str, Any]) -> None:
    """Set the priority that a sweep needs for its new position."""
    others = "SELECT priority FROM sweeps WHERE id <> ?1 AND in_queue AND state <> 'done'"
    wanted = {
        "before": "(SELECT priority FROM sweeps WHERE id = ?2)",
        "first": f"(SELECT max(sweeps.priority, max(priority)) FROM ({others}))",
        "last": f"(SELECT min(sweeps.priority, min(priority)) FROM ({others}))",
    }[arguments["to"]]
    store.connection.execute(
        f"UPDATE sweeps SET priority = ifnull({wanted}, priority) WHERE id = ?1 AND ?2 IS ?2",
        [id, arguments.get("before")],
    )


def boundary_rank(store: Store, table: str, ids: list[int], which: str) -> float:
    """Return the lowest or highest rank of some rows; 0 without rows."""
    (found,) = store.connection.execute(
        f"SELECT ifnull({which}(rank), 0) FROM {table}"
        " WHERE id IN (SELECT value FROM json_each(?))",
        [json.dumps(ids)],
    ).fetchone()
    return float(found)

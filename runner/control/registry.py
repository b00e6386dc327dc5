"""The registry of queue actions, with the types and SQL conditions that all handlers use.

A handler changes rows and returns its reply, and a `QueueChange` for the supervisor. Handlers
register themselves with `action`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..database.store import Store

LEVELS = {"sweep": "sweep_id", "model": "sweep_model_id", "job": "id"}
TABLES = {"sweep": "sweeps", "model": "sweep_models", "job": "jobs"}


@dataclass(frozen=True, slots=True)
class QueueChange:
    """The effect of a request on a running supervisor.

    `cancelled` are the ids of jobs to kill, `skipped` counts cancelled jobs by sweep uid and model,
    `recounted` are the ids of sweeps whose number of jobs changed.
    """

    cancelled: frozenset[int] = frozenset()
    skipped: dict[tuple[str, str], int] = field(default_factory=dict)
    recounted: frozenset[int] = frozenset()


HandlerResult = tuple[dict[str, Any], QueueChange]
Action = Callable[[Store, dict[str, Any]], HandlerResult]
ACTIONS: dict[str, Action] = {}


def action(name: str) -> Callable[[Action], Action]:
    """Register a handler under the action's name."""

    def register(function: Action) -> Action:
        ACTIONS[name] = function
        return function

    return register


def jobs_condition(arguments: dict[str, Any]) -> tuple[str, int]:
    """Return the SQL condition on `jobs` for a target, and its parameter."""
    return f"{LEVELS[arguments['level']]} = ?", int(arguments["id"])


def failed_jobs_condition(arguments: dict[str, Any]) -> tuple[str, int]:
    """Return the condition on `jobs` for a target's failed jobs, excluded ones not counted."""
    condition, id = jobs_condition(arguments)
    ended = (
        f"jobs.{condition} AND jobs.state = 'done' AND EXISTS (SELECT 1 FROM runs WHERE runs.id ="
        " latest_run_id AND outcome <> 'ok' AND error_class IS NOT 'excluded')"
    )
    return ended, id


def row_exists(store: Store, level: str, id: int) -> bool:
    """Return whether the row exists."""
    found = store.connection.execute(f"SELECT 1 FROM {TABLES[level]} WHERE id = ?", [id])
    return found.fetchone() is not None

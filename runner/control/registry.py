"""The registry of queue actions, and what every handler needs: targets and results.

A handler changes rows, returns its reply, and says by a `QueueChange` what the supervisor must do
about workers that run now. Handlers register themselves with `action`.
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
    """What a request means for the supervisor: jobs that must not run on; something may begin.

    `skipped` counts jobs that were given up, by sweep's uid and model; `recounted` are the numbers
    of sweeps whose jobs are not what they were.
    """

    cancelled: frozenset[int] = frozenset()
    skipped: dict[tuple[str, str], int] = field(default_factory=dict)
    recounted: frozenset[int] = frozenset()


HandlerResult = tuple[dict[str, Any], QueueChange]
Action = Callable[[Store, dict[str, Any]], HandlerResult]
ACTIONS: dict[str, Action] = {}


def action(name: str) -> Callable[[Action], Action]:
    """Registers an action under the name it is asked by."""

    def register(function: Action) -> Action:
        ACTIONS[name] = function
        return function

    return register


def jobs_condition(arguments: dict[str, Any]) -> tuple[str, int]:
    """The condition on `jobs` that a target stands for, and its number."""
    return f"{LEVELS[arguments['level']]} = ?", int(arguments["id"])


def failed_jobs_condition(arguments: dict[str, Any]) -> tuple[str, int]:
    """The condition on `jobs` of a target that ended, but not ok, nor by a rule; its number."""
    condition, id = jobs_condition(arguments)
    ended = (
        f"jobs.{condition} AND jobs.state = 'done' AND EXISTS (SELECT 1 FROM runs WHERE runs.id ="
        " latest_run_id AND outcome <> 'ok' AND error_class IS NOT 'excluded')"
    )
    return ended, id


def row_exists(store: Store, level: str, id: int) -> bool:
    """Whether there is such a row."""
    found = store.connection.execute(f"SELECT 1 FROM {TABLES[level]} WHERE id = ?", [id])
    return found.fetchone() is not None

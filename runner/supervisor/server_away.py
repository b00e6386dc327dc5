"""Rests a model whose server cannot answer, and gives up after `limits.server_away_s`.

`sweep_models.away_since` is when the server was first found unable to answer; any run that it
answers clears it.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.events import Error

from ..database.store import Store
from ..system.timestamps import seconds_since, utc_now
from .queue import QueuedModel

FIRST_REST_S = 5.0
LONGEST_REST_S = 300.0


@dataclass(slots=True)
class ServerAvailability:
    """The state of a model's server according to the worker's last error.

    While it is `unavailable`, no run is sent to it; `retry_after_s` is the server's
    Retry-After in seconds, or None.
    """

    unavailable: bool = False
    retry_after_s: float | None = None

    def on_error(self, error: Error) -> None:
        """Take the server's state from an error."""
        self.unavailable = error.server_state is not None
        self.retry_after_s = error.retry_after_s


def was_reached(store: Store, model: QueuedModel) -> bool:
    """True if any worker of this database loaded a model from the same server.

    A server that was never reached may be a wrong url: it is not waited for.
    """
    found = store.connection.execute(
        "SELECT 1 FROM workers JOIN sweep_models ON sweep_models.id = workers.sweep_model_id"
        " WHERE sweep_models.url = ? AND workers.load_s IS NOT NULL LIMIT 1",
        [model.load.url],
    ).fetchone()
    return found is not None


def seconds_away(store: Store, model: QueuedModel) -> float:
    """Seconds since the server was first found unable to answer; begins to count if it was not."""
    (since,) = store.connection.execute(
        "UPDATE sweep_models SET away_since = ifnull(away_since, ?) WHERE id = ?"
        " RETURNING away_since",
        [utc_now(), model.id],
    ).fetchone()
    return seconds_since(since)


def rest_s(store: Store, model: QueuedModel, retry_after_s: float | None = None) -> float | None:
    """Seconds until the next worker is started, or None to give up.

    The rests grow with the time that the server is away.
    """
    away_s = seconds_away(store, model)
    left_s = model.limits.server_away_s - away_s
    if left_s <= 0:
        return None
    wanted_s = max(FIRST_REST_S, away_s / 2, retry_after_s or 0.0)
    return min(LONGEST_REST_S, wanted_s, left_s + 1.0)


def clear(store: Store, model: QueuedModel) -> None:
    """The server answered."""
    if model.load.url is not None:
        store.connection.execute(
            "UPDATE sweep_models SET away_since = NULL WHERE id = ? AND away_since IS NOT NULL",
            [model.id],
        )


def clear_sweep(store: Store, sweep: int) -> None:
    """A supervisor starts to work a sweep: time away counts from now on."""
    store.connection.execute(
        "UPDATE sweep_models SET away_since = NULL WHERE sweep_id = ? AND away_since IS NOT NULL",
        [sweep],
    )

"""Waits for a server that cannot answer now: sleeps, reports each wait and adds them up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from schemas.events import ServerState

from ...error_classes import WorkerFailure
from .retry_policy import RetryPolicy

LONGEST_SLEEP_S = 86_400.0


class WaitListener(Protocol):
    """Receives the waits of one load or run; `workers.timing.RunTimer` is one."""

    def wait_for_server(
        self, server_state: ServerState, reason: str, attempt: int, retry_in_s: float
    ) -> None:
        """The server cannot answer; the next request follows in `retry_in_s` seconds."""

    def add_wait(self, seconds: float) -> None:
        """So much time was spent waiting."""

    def restart(self) -> None:
        """The request is sent again now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The limits of waiting for a server, by its state."""

    busy: RetryPolicy
    loading: RetryPolicy
    away: RetryPolicy

    @classmethod
    def during_run(cls, limit_s: float) -> Patience:
        """Each state is waited for up to `limit_s`."""
        policy = RetryPolicy(limit_s=limit_s)
        return cls(busy=policy, loading=policy, away=policy)

    @classmethod
    def during_load(cls) -> Patience:
        """The supervisor's limit alone ends a load; a server that is not there fails it."""
        endless = RetryPolicy(limit_s=None)
        return cls(busy=endless, loading=endless, away=RetryPolicy(limit_s=0.0))

    def of(self, state: ServerState) -> RetryPolicy:
        """The policy for a state."""
        policies = {"busy": self.busy, "loading": self.loading, "away": self.away}
        return policies[state]


class ServerWaits:
    """The waits of one load or run. Each request begins its own `Attempts`."""

    def __init__(
        self,
        patience: Patience,
        listener: WaitListener,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.patience, self.listener = patience, listener
        self.clock, self.sleep = clock, sleep
        self._waited_s = 0.0
        self._reasons: Counter[str] = Counter()

    def attempts(self, restart: bool = False) -> Attempts:
        """The attempts at one request; `restart` says whether the listener measures it."""
        return Attempts(self, restart)

    def add(self, reason: str, seconds: float) -> None:
        """One wait is over."""
        self._waited_s += seconds
        self._reasons[reason] += 1
        self.listener.add_wait(seconds)

    def notes(self) -> list[str]:
        """The note to store about the waits; none if there were none."""
        if not self._reasons:
            return []
        reasons = ", ".join(
            f"{reason}, {count} times" if count > 1 else reason
            for reason, count in self._reasons.items()
        )
        return [f"waited {self._waited_s:.1f} s for the server ({reasons})"]


class Attempts:
    """The attempts at one request that failed so far."""

    def __init__(self, waits: ServerWaits, restart: bool) -> None:
        self._waits, self._restart = waits, restart
        self._failed = 0
        self._first_failed_at: float | None = None

    def wait_after(self, failure: WorkerFailure) -> None:
        """Wait before the next attempt, or raise the failure if the limit is reached."""
        if failure.server_state is None:
            raise failure
        waits, now = self._waits, self._waits.clock()
        self._failed += 1
        if self._first_failed_at is None:
            self._first_failed_at = now
        policy = waits.patience.of(failure.server_state)
        elapsed_s = now - self._first_failed_at
        delay_s = policy.delay_s(self._failed, elapsed_s, failure.retry_after_s)
        if delay_s is None:
            raise given_up(failure, elapsed_s)
        waits.listener.wait_for_server(failure.server_state, failure.message, self._failed, delay_s)
        waits.sleep(min(delay_s, LONGEST_SLEEP_S))
        waits.add(short_reason(failure), waits.clock() - now)

    def succeeded(self) -> None:
        """The server answers again: the delays start small, the time limit stays."""
        self._failed = 0

    def send_again(self) -> None:
        """The request itself is about to be repeated."""
        if self._restart:
            self._waits.listener.restart()


def given_up(failure: WorkerFailure, elapsed_s: float) -> WorkerFailure:
    """The failure of a job that goes back to the queue, with the reason."""
    if failure.retry_after_s is not None and failure.retry_after_s > elapsed_s:
        wanted = f"{failure.retry_after_s:,.0f} s"
        failure.message += f" (its Retry-After asks for {wanted}, longer than a run may wait)"
    failure.args = (failure.message,)
    failure.requeue = True
    return failure


def short_reason(failure: WorkerFailure) -> str:
    """The status or the state, for a note."""
    status = getattr(failure, "status", None)
    named = status and failure.server_state != "loading"
    return str(status if named else failure.server_state)

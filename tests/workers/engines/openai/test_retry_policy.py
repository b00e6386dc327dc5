"""When a request is sent again: delays, limits, and the server's Retry-After."""

from __future__ import annotations

import math
import random

import pytest

from workers.engines.openai.retry_policy import RetryPolicy, parse_retry_after
from workers.engines.openai.server_waits import Attempts, Patience, ServerWaits
from workers.error_classes import WorkerFailure

NOW_S = 1_767_225_600.0  # Thu, 01 Jan 2026 00:00:00 GMT
NEW_YEAR = "Thu, 01 Jan 2026 00:00:00 GMT"
LATER = "Thu, 01 Jan 2026 00:00:07 GMT"


def policy(limit_s: float | None, jitter: float = 0.0) -> RetryPolicy:
    return RetryPolicy(limit_s=limit_s, jitter=jitter)


def test_delays_grow_up_to_a_limit() -> None:
    delays = [policy(None).delay_s(attempt, 0.0) for attempt in range(1, 10)]
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert policy(None).delay_s(10**6, 10.0**9) == 30


def test_jitter_only_adds() -> None:
    jittered = RetryPolicy(limit_s=None, jitter=0.25, random=random.Random(1))
    delays = [jittered.delay_s(3, 0.0) for _ in range(200)]
    assert min(delays) >= 2
    assert max(delays) <= 2.5
    assert len(set(delays)) > 100


def test_limit_ends_the_attempts() -> None:
    assert policy(10).delay_s(6, 7.0) == 3  # the last attempt is at the limit itself
    assert policy(10).delay_s(6, 10.0) is None
    assert policy(0).delay_s(1, 0.0) is None


def test_retry_after_of_the_server_is_honoured() -> None:
    assert policy(60).delay_s(1, 0.0, retry_after_s=20) == 20
    assert policy(60).delay_s(7, 0.0, retry_after_s=0) == 30  # 0 is no reason to hurry
    assert policy(60).delay_s(1, 50.0, retry_after_s=20) is None
    assert policy(60).delay_s(1, 0.0, retry_after_s=math.inf) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": LATER}, 7),
        ({"retry-after": LATER, "date": "Thu, 01 Jan 2026 00:00:05 GMT"}, 2),
        ({"retry-after": LATER, "date": "yesterday"}, 7),
        ({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0),
        ({"retry-after": "9" * 400}, math.inf),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_parsed_in_all_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers, NOW_S) == seconds


class Listener:
    """Keeps the waits."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.waited_s = 0.0
        self.restarts = 0

    def wait_for_server(
        self, server_state: str, reason: str, attempt: int, retry_in_s: float
    ) -> None:
        self.states.append(server_state)

    def add_wait(self, seconds: float) -> None:
        self.waited_s += seconds

    def restart(self) -> None:
        self.restarts += 1


def waits(patience: Patience, listener: Listener) -> ServerWaits:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return ServerWaits(patience, listener, clock=lambda: now[0], sleep=sleep)


def failure(state: str | None, retry_after_s: float | None = None) -> WorkerFailure:
    return WorkerFailure("network", "m", server_state=state, retry_after_s=retry_after_s)  # type: ignore[arg-type]


def wait_until_given_up(attempts: Attempts) -> None:
    for _ in range(1000):
        attempts.wait_after(failure("busy"))


def test_run_waits_up_to_its_limit_then_returns_its_job() -> None:
    listener = Listener()
    own = waits(Patience.during_run(20.0), listener)
    attempts = own.attempts()
    with pytest.raises(WorkerFailure) as caught:
        wait_until_given_up(attempts)
    assert caught.value.requeue
    assert caught.value.server_state == "busy"
    assert listener.waited_s == pytest.approx(20.0)
    assert own.notes() == [f"waited 20.0 s for the server (busy, {len(listener.states)} times)"]


def test_load_waits_for_a_busy_server_but_not_for_an_unreachable_one() -> None:
    listener = Listener()
    attempts = waits(Patience.during_load(), listener).attempts()
    for _ in range(1000):
        attempts.wait_after(failure("loading"))
    with pytest.raises(WorkerFailure):
        waits(Patience.during_load(), listener).attempts().wait_after(failure("away"))
    assert listener.states == ["loading"] * 1000


def test_other_failures_are_not_retried() -> None:
    listener = Listener()
    with pytest.raises(WorkerFailure):
        waits(Patience.during_run(20.0), listener).attempts().wait_after(failure(None))
    assert listener.states == []


def test_only_measured_requests_restart_the_timer() -> None:
    listener = Listener()
    own = waits(Patience.during_run(20.0), listener)
    own.attempts().send_again()
    assert listener.restarts == 0
    own.attempts(restart=True).send_again()
    assert listener.restarts == 1

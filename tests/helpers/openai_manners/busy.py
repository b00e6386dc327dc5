"""Busy, loading, restarting and gone."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from .manner import Behave, Expected, Manner, during, fails, first, in_turn, polite, reply

if TYPE_CHECKING:
    from .server import Exchange

BUSY = {"error": {"message": "Rate limit reached", "type": "rate_limit_error"}}
LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
AGAIN = Expected(retry="worker", requests=2)


def dated(status: int, seconds: float) -> Behave:
    """Refuses, and names the hour from which to ask again."""

    def behave(exchange: Exchange) -> None:
        date = formatdate(time.time() + seconds, usegmt=True)
        exchange.reply(status, BUSY, {"Retry-After": date})

    return behave


def rate_limited(allowed: int, seconds: float) -> Behave:
    """Allows `allowed` requests within `seconds`, all kinds together."""
    taken: list[float] = []

    def behave(exchange: Exchange) -> None:
        now = time.monotonic()
        taken[:] = [at for at in taken if now - at < seconds]
        if len(taken) < allowed:
            taken.append(now)
            polite(exchange)
        else:
            exchange.reply(429, BUSY, {"Retry-After": str(int(seconds))})

    return behave


def goes_away(seconds: float | None) -> Behave:
    """Ends the connection and listens no more, for so long or for good."""

    def behave(exchange: Exchange) -> None:
        exchange.server.go_away(seconds)
        exchange.close()

    return behave


def with_retry_after(name: str, status: int, after: str, expected: Expected = AGAIN) -> Manner:
    """Refuses once with this Retry-After."""
    refuse = reply(status, BUSY, Retry_After=after)
    return Manner(name=name, question=first(refuse), expected=expected)


def once(name: str, status: int, value: object) -> Manner:
    """Refuses once without a Retry-After."""
    return Manner(name=name, question=first(reply(status, value)), expected=AGAIN)


def manners() -> list[Manner]:
    """All of them."""
    limit = rate_limited(5, 3)
    return [
        Manner(
            name="five-per-3-s",
            question=limit,
            probe=limit,
            expected=Expected(retry="worker"),
            runs=8,
            alone=True,
        ),
        with_retry_after(
            "retry-after-seconds", 429, "1", Expected(retry="worker", requests=2, wait_s=0.95)
        ),
        with_retry_after(
            "retry-after-503", 503, "1", Expected(retry="worker", requests=2, wait_s=0.95)
        ),
        with_retry_after(
            "retry-after-fraction", 429, "0.5", Expected(retry="worker", requests=2, wait_s=0.45)
        ),
        with_retry_after("retry-after-negative", 429, "-5"),
        with_retry_after("retry-after-words", 429, "soon"),
        with_retry_after("retry-after-zero", 503, "0"),
        Manner(
            name="retry-after-date",
            question=first(dated(503, 2.2)),
            expected=Expected(retry="worker", requests=2, wait_s=0.9),
        ),
        Manner(name="retry-after-past-date", question=first(dated(429, -3600)), expected=AGAIN),
        Manner(
            name="retry-after-absurd",
            question=reply(429, BUSY, Retry_After="86400000"),
            expected=fails("network", retry="queue", requests=1, message="Retry-After"),
        ),
        Manner(
            name="retry-after-far-date",
            question=dated(429, 86_400_000),
            expected=fails("network", retry="queue", requests=1, message="Retry-After"),
        ),
        Manner(
            name="retry-after-overflow",
            question=reply(503, BUSY, Retry_After="9" * 400),
            expected=fails("network", retry="queue"),
        ),
        *silent(),
        *loading(),
        *gone(),
    ]


def silent() -> list[Manner]:
    """Busy, and no word on when to ask again."""
    return [
        Manner(
            name="retry-after-missing",
            question=first(reply(429, BUSY), 2),
            expected=Expected(retry="worker", requests=3, wait_s=0.1),
        ),
        once("busy-503-once", 503, "busy"),
        once("overloaded-529", 529, {"error": {"type": "overloaded_error", "message": "busy"}}),
        once("bad-gateway-502", 502, "<html><h1>502 Bad Gateway</h1></html>"),
        once("gateway-timeout-504", 504, ""),
        once("request-timeout-408", 408, {}),
        once("too-early-425", 425, {}),
        Manner(
            name="busy-for-ever",
            question=reply(503, BUSY),
            expected=fails("network", retry="queue", message="503"),
            server_wait_s=1,
        ),
        Manner(
            name="quota-used-up",
            question=reply(429, {"error": {"code": "insufficient_quota", "message": "No quota"}}),
            expected=fails("gated", "server_error", requests=1),
        ),
    ]


def loading() -> list[Manner]:
    """The model is not there yet."""
    refuse = reply(503, LOADING)
    estimate = reply(503, {"error": "Model x is currently loading", "estimated_time": 1.5})
    again = Expected(retry="worker")
    return [
        Manner(
            name="loading-everything",
            models=during(2.5, refuse, lambda exchange: exchange.reply(200, exchange.listing())),
            question=polite,
            expected=again,
            alone=True,
        ),
        Manner(
            name="loading-probe",
            probe=during(2.5, refuse),
            question=polite,
            expected=again,
            alone=True,
        ),
        Manner(name="loading-question", question=during(2.5, refuse), expected=again),
        Manner(
            name="loading-plain-text",
            probe=during(1.5, reply(503, "model is loading, please wait")),
            question=polite,
            expected=again,
            alone=True,
        ),
        Manner(
            name="loading-estimated-time",
            question=during(1.4, estimate),
            expected=Expected(retry="worker", wait_s=0.1),
        ),
        Manner(
            name="loading-for-ever",
            probe=refuse,
            question=polite,
            expected=Expected(outcome="timeout", where="load", text="", message="oading"),
        ),
    ]


def gone() -> list[Manner]:
    """Nothing listens."""
    return [
        Manner(
            name="gone-for-2-s",
            question=first(goes_away(2)),
            expected=Expected(retry="worker"),
            runs=3,
            alone=True,
        ),
        Manner(
            name="gone-for-good",
            question=goes_away(None),
            expected=fails("network", retry="queue"),
            runs=2,
            server_wait_s=1,
            alone=True,
        ),
        Manner(
            name="gone-for-2-s-then-loading",
            question=in_turn(goes_away(2), reply(503, LOADING), reply(503, LOADING)),
            expected=Expected(retry="worker", requests=4),
            alone=True,
        ),
        Manner(
            name="absent-at-first",
            question=polite,
            absent_s=3600,
            expected=fails("network", where="load", retry="queue", message="refused"),
        ),
    ]

"""Waiting for conditions, with a limit that a busy machine does not reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")
# The limit on everything a test waits for. It only bounds a test that fails: a test that passes
# ends as soon as its condition holds, however busy the machine is.
WAIT_S = 600.0
POLL_S = 0.01


def wait_until(condition: Callable[[], Value], limit_s: float = WAIT_S) -> Value:
    """Polls until the condition is true and returns its value; fails after `limit_s` seconds."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {limit_s:g} s"
        time.sleep(POLL_S)
    return value

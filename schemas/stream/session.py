"""Of what surrounds the sweeps: sleep, messages, and whoever looks on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WatchingState = Literal["nothing_running", "supervisor_gone", "no_database"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepInhibited:
    """Whether the machine is kept from sleeping while sweeps run: by what, or why not."""

    event: Literal["staying_awake"] = "staying_awake"
    ok: bool
    method: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyFailed:
    """A message about a sweep could not be sent. No secret stands in it."""

    event: Literal["notify_failed"] = "notify_failed"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchIdle:
    """`vlmsweep watch` has nothing to show, and why; it goes on looking."""

    event: Literal["watching"] = "watching"
    state: WatchingState
    message: str

"""Events around the sweeps: sleep, notifications, and watching terminals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .base import StreamEvent

WatchingState = Literal["nothing_running", "supervisor_gone", "no_database"]


@dataclass(frozen=True, kw_only=True)
class SleepInhibited(StreamEvent):
    """Whether the machine is kept from sleeping while sweeps run: by what, or why not."""

    event: Literal["sleep_inhibited"] = "sleep_inhibited"
    ok: bool
    method: str | None
    message: str | None

    @property
    def line(self) -> str | None:
        return self.message

    @property
    def style(self) -> str | None:
        return None if self.ok else "yellow"


@dataclass(frozen=True, kw_only=True)
class NotifyFailed(StreamEvent):
    """A message about a sweep could not be sent. It contains no secret."""

    event: Literal["notify_failed"] = "notify_failed"
    message: str

    @property
    def line(self) -> str:
        return self.message

    @property
    def style(self) -> str:
        return "yellow"


@dataclass(frozen=True, kw_only=True)
class WatchIdle(StreamEvent):
    """`vlmsweep watch` has nothing to show, and why; it goes on looking."""

    redraw: ClassVar[bool] = True
    event: Literal["watch_status"] = "watch_status"
    state: WatchingState
    message: str

    @property
    def line(self) -> str:
        return self.message

"""Deadlines per worker phase; reports the first limit that is exceeded.

Pure: the caller passes events and times (seconds of one monotonic clock).
`runner.supervisor.worker_controller` acts on violations.

    start, load   load_s         from the start of the process, and again from the fetched files
    download      download_s
    waiting       first_token_s  from the next attempt on
    prefill       first_token_s  from sending the run to its first text; a library may hold the
                                 interpreter meanwhile, so heartbeats are not required
    generate      silence_s      since the last text: a heartbeat does not count
    prefill and generate         run_s, from sending the run
    idle          silence_s      since the last event of any kind
    stop          STOP_S
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.states import Phase
from schemas.sweep import Limits

STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class LimitViolation:
    """An exceeded limit, with a message."""

    limit: str
    phase: Phase
    message: str


class DeadlineMonitor:
    """The deadlines of one worker."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self.phase = Phase.START
        self.entered = now
        self.progress = now
        self.run_began: float | None = None
        self.waiting_for: str | None = None

    def postpone(self, seconds: float, now: float) -> None:
        """The supervisor was stopped for some seconds: they do not count for any limit."""

        def later(since: float) -> float:
            return max(since, min(since + seconds, now))

        self.entered, self.progress = later(self.entered), later(self.progress)
        if self.run_began is not None:
            self.run_began = later(self.run_began)

    def enter_phase(self, phase: Phase, now: float) -> None:
        """The worker enters a phase at monotonic time `now`."""
        if phase == self.phase:
            return
        if phase == Phase.PREFILL:
            self.run_began = now
        elif phase not in (Phase.GENERATE, Phase.WAITING):
            self.run_began = None
        if phase != Phase.LOAD:
            self.waiting_for = None
        self.phase, self.entered, self.progress = phase, now, now

    def on_progress(self, phase: str, now: float) -> None:
        """The worker reports progress of a download or of loading."""
        self.enter_phase(Phase.DOWNLOAD if phase == Phase.DOWNLOAD else Phase.LOAD, now)

    def on_waiting(self, reason: str, retry_in_s: float, now: float) -> None:
        """The model's server cannot answer; the request is sent again in `retry_in_s` seconds.

        A load has no more time for it; a run's limits begin again with the next attempt.
        """
        if self.run_began is not None:
            self.enter_phase(Phase.WAITING, now)
            self.entered = self.run_began = now + retry_in_s
        self.waiting_for = reason

    def on_event(self, now: float, progress: bool) -> None:
        """The worker sent an event; `progress` if it was more than a heartbeat."""
        if progress or self.phase == Phase.IDLE:
            self.progress = now

    def deadlines(self) -> list[tuple[float, str, float]]:
        """Return the active deadlines: time, name and value of the limit."""
        limits = self.limits
        if self.phase in (Phase.START, Phase.LOAD):
            found = [(self.entered, "load_s", limits.load_s)]
        elif self.phase == Phase.DOWNLOAD:
            found = [(self.entered, "download_s", limits.download_s)]
        elif self.phase in (Phase.PREFILL, Phase.WAITING):
            found = [(self.entered, "first_token_s", limits.first_token_s)]
        elif self.phase == Phase.STOP:
            found = [(self.entered, "stop_s", STOP_S)]
        else:
            found = [(self.progress, "silence_s", limits.silence_s)]
        if self.run_began is not None:
            found.append((self.run_began, "run_s", limits.run_s))
        return [(since + value, name, value) for since, name, value in found]

    def next_deadline(self) -> float:
        """Return when the next limit will be exceeded, if no event arrives."""
        return min(when for when, _, _ in self.deadlines())

    def check(self, now: float, rss_bytes: int | None = None) -> LimitViolation | None:
        """Return the exceeded limit, the earliest of several, or None."""
        memory = self.limits.memory_bytes
        if memory is not None and rss_bytes is not None and rss_bytes > memory:
            message = f"used {rss_bytes:,} bytes of memory, over the limit of {memory:,}"
            return LimitViolation("memory_bytes", self.phase, message)
        when, name, value = min(self.deadlines())
        if now < when:
            return None
        message = f"{MESSAGES[name]} within {value:g} s ({name})"
        if self.waiting_for is not None:
            message += f"; it waited for the server: {self.waiting_for}"
        return LimitViolation(name, self.phase, message)


MESSAGES = {
    "load_s": "the model was not loaded",
    "download_s": "the model's files were not fetched",
    "first_token_s": "no first token arrived",
    "run_s": "the run did not finish",
    "silence_s": "no event arrived",
    "stop_s": "the worker did not exit",
}

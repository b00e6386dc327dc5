"""Of runs: a job's tries, from the hand-over to the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..states import Outcome, Phase
from .base import SweepScopedEvent


@dataclass(frozen=True, kw_only=True)
class RunStarted(SweepScopedEvent):
    """A job was handed to a worker, `elapsed_s` before this event."""

    event: Literal["run_started"] = "run_started"
    run: int
    job: int
    worker: int
    model: str
    image: str | None
    prompt: str
    repeat: int
    attempt: int
    elapsed_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunFirstToken(SweepScopedEvent):
    """The first visible text was received."""

    event: Literal["first_token"] = "first_token"
    run: int
    ttft_s: float
    input_tokens: int | None
    image_tokens: int | None


@dataclass(frozen=True, kw_only=True)
class RunText(SweepScopedEvent):
    """A piece of raw text."""

    event: Literal["text"] = "text"
    run: int
    text: str


@dataclass(frozen=True, kw_only=True)
class RunFinished(SweepScopedEvent):
    """A run has its outcome; columns of `runs` under their own names.

    `will_retry`: the job is queued again with the fallback.
    """

    event: Literal["run_finished"] = "run_finished"
    run: int
    job: int
    worker: int | None
    model: str
    image: str | None
    prompt: str
    repeat: int
    outcome: str
    phase: str | None = None
    error_class: str | None = None
    message: str | None = None
    hint: str | None = None
    text: str | None = None
    finish_reason: str | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    input_tokens: int | None = None
    image_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tps: float | None = None
    generation_tps: float | None = None
    peak_rss_bytes: int | None = None
    peak_device_bytes: int | None = None
    will_retry: bool = False

    @property
    def style(self) -> str | None:
        if self.phase == Phase.PREPARE:  # reported once already, as `image_prepared`
            return None
        return None if self.outcome in (Outcome.OK, Outcome.SKIPPED) else "red"

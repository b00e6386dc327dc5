"""Settings of a sweep: generation, limits, and the preparation of images and videos.

Each class of one model's overrides is next to the class of the sweep's settings.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator

from .base import Seconds, SweepModelBase


class GenerationSettings(SweepModelBase):
    """Settings of text generation; greedy by default, so that a run can be repeated."""

    max_new_tokens: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 100
    do_sample: StrictBool = False
    temperature: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(strict=True, ge=1)] | None = None
    repetition_penalty: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] | None = None

    @model_validator(mode="after")
    def sampling_is_asked_for(self) -> Self:
        """A temperature that greedy decoding would silently ignore is a mistake."""
        idle = [
            name
            for name in ("temperature", "top_p", "top_k", "seed")
            if getattr(self, name) is not None
        ]
        if idle and not self.do_sample:
            raise ValueError(
                f"{', '.join(idle)} would be ignored: set do_sample: true, or leave it out"
            )
        return self


class GenerationOverrides(SweepModelBase):
    """Settings one model gets instead of the sweep's; recorded with its runs as such."""

    max_new_tokens: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    do_sample: StrictBool | None = None
    temperature: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(strict=True, ge=1)] | None = None
    repetition_penalty: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] | None = None


class LimitOverrides(SweepModelBase):
    """Limits one model gets instead of the sweep's."""

    download_s: Seconds | None = None
    load_s: Seconds | None = None
    first_token_s: Seconds | None = None
    run_s: Seconds | None = None
    silence_s: Seconds | None = None
    memory_bytes: Annotated[int, Field(strict=True, ge=1)] | None = None
    worker_failures: Annotated[int, Field(strict=True, ge=1)] | None = None
    retries: Annotated[int, Field(strict=True, ge=0, le=10)] | None = None
    server_wait_s: Seconds | None = None
    server_away_s: Seconds | None = None


class Limits(SweepModelBase):
    """When a worker is killed. Seconds by the monotonic clock, bytes resident."""

    download_s: Seconds = Field(7200.0, description="Fetching one model's files.")
    load_s: Seconds = Field(600.0, description="Imports, weights and processor of one worker.")
    first_token_s: Seconds = Field(180.0, description="From a run's start to its first token.")
    run_s: Seconds = Field(600.0, description="One whole run.")
    silence_s: Seconds = Field(
        60.0, description="No new text while generating, or no sign of life between runs."
    )
    memory_bytes: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        None, description="Resident memory of the worker's whole process tree."
    )
    worker_failures: Annotated[int, Field(strict=True, ge=1)] = Field(
        3, description="Workers a model may lose in a row before its other jobs are skipped."
    )
    retries: Annotated[int, Field(strict=True, ge=0, le=10)] = Field(
        1, description="Further tries after a failure that may pass: a slow load, a network."
    )
    server_wait_s: Seconds = Field(
        60.0,
        description="Engine openai: how long one run waits for a server that is busy, loading or"
        " away. Then the job goes back to the queue.",
    )
    server_away_s: Seconds = Field(
        3600.0,
        description="Engine openai: how long jobs go back to the queue while the server cannot"
        " answer. Then they fail, or go to the fallback.",
    )


class ImageSettings(SweepModelBase):
    """Settings of image preparation, the same for every model."""

    max_side: Annotated[int, Field(strict=True, ge=1, le=65_536)] | None = Field(
        1024, description="Longest side in pixels; null keeps the size."
    )


class VideoSettings(SweepModelBase):
    """Settings of video preparation, the same for every model."""

    frames: Annotated[int, Field(strict=True, ge=1, le=128)] = Field(
        8, description="Number of frames, taken evenly over its length."
    )

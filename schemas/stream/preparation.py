"""Events before jobs: findings, models fetched, environments created, images prepared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .base import StreamEvent


@dataclass(frozen=True, kw_only=True)
class PreflightFinding(StreamEvent):
    """Something that jobs will fail for (problem) or may fail for (warning), seen before the start.

    A note with `about` left_out names files and folders that were found and are not used.
    `about` is an error class or a part of preflight, `where` the model, image or place.
    """

    event: Literal["preflight_finding"] = "preflight_finding"
    severity: str
    kind: str
    subject: str
    message: str
    hint: str | None

    @property
    def line(self) -> str:
        return f"{self.severity}: {self.subject}: {self.message}" + (
            f" ({self.hint})" if self.hint else ""
        )

    @property
    def style(self) -> str | None:
        return {"problem": "red", "warning": "yellow"}.get(self.severity)


@dataclass(frozen=True, kw_only=True)
class FetchStarted(StreamEvent):
    """`vlmsweep fetch` is about to fetch these models, in sequence."""

    event: Literal["fetch_started"] = "fetch_started"
    models: list[str]


@dataclass(frozen=True, kw_only=True)
class ModelFetched(StreamEvent):
    """A model's files are complete on disk; else `error_class` and `message` are set.

    `download_s` is the time it took, `weights_bytes` the size of its weights.
    """

    event: Literal["model_fetched"] = "model_fetched"
    model: str
    location: str
    download_s: float | None = None
    weights_bytes: int | None = None
    commit: str | None = None
    error_class: str | None = None
    message: str | None = None
    hint: str | None = None

    @property
    def style(self) -> str | None:
        return None if self.message is None else "red"


@dataclass(frozen=True, kw_only=True)
class EnvironmentProgress(StreamEvent):
    """The environment a model runs in is being made. `state`: building, ready or failed."""

    event: Literal["environment_progress"] = "environment_progress"
    model: str
    state: str
    message: str
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class ImagePrepared(StreamEvent):
    """An image was decoded and stored, or could not be (`message` has the reason)."""

    event: Literal["image_prepared"] = "image_prepared"
    path: str
    done: int
    total: int
    error_class: str | None
    message: str | None

    @property
    def line(self) -> str | None:
        if self.message is not None:
            return f"image {self.path}: {self.message}"
        return f"images prepared: {self.total}" if self.done == self.total else None

    @property
    def style(self) -> str | None:
        return None if self.message is None else "red"

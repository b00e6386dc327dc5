"""Of what comes before jobs: findings, models fetched, environments made, images prepared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFinding:
    """Something that jobs will fail for (problem) or may fail for (warning), seen before the start.

    `about` is an error class or a part of preflight, `where` the model, image or place.
    """

    event: Literal["preflight_finding"] = "preflight_finding"
    severity: str
    about: str
    where: str
    message: str
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchStarted:
    """`vlmsweep fetch` is about to fetch these models, one after another."""

    event: Literal["fetch_started"] = "fetch_started"
    models: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFetched:
    """A model's files are on disk and whole; else `error_class` and `message` say why not.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentProgress:
    """The environment a model runs in is being made. `state`: making, ready or failed."""

    event: Literal["environment_progress"] = "environment_progress"
    model: str
    state: str
    message: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePrepared:
    """An image was decoded and stored, or could not be (`message` says why)."""

    event: Literal["image_prepared"] = "image_prepared"
    path: str
    done: int
    total: int
    error_class: str | None
    message: str | None

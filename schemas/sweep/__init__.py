"""The sweep file a user writes: models x images x prompts x settings.

These pydantic types are the one source of truth for its syntax; the JSON Schema that editors
complete from is generated from them (`scripts/make_docs.py`). Reading files and turning problems
into sentences is `runner.planning.sweepfile`; expansion into jobs is `runner.planning.expand`.
Only the runner imports this module, since a worker may live without pydantic.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from .base import Glob, NonEmpty, SweepModelBase, as_list
from .model import Model, ModelLike, Source
from .prompt import Prompt, PromptLike, TurnSpec
from .settings import (
    GenerationOverrides,
    GenerationSettings,
    ImageSettings,
    LimitOverrides,
    Limits,
    VideoSettings,
)

Places = Annotated[
    list[NonEmpty], BeforeValidator(as_list, json_schema_input_type=str | list[NonEmpty])
]


def check_metric_name(name: str, info: ValidationInfo) -> str:
    """Refuses what is not in the validation context's `metrics`, where that is given."""
    known = (info.context or {}).get("metrics", (name,))
    if name not in known:
        expected = ", ".join(map(repr, known))
        raise PydanticCustomError(
            "literal_error", "should be one of {expected}", {"expected": expected}
        )
    return name


Metric = Annotated[NonEmpty, AfterValidator(check_metric_name)]
Metrics = Annotated[
    list[Metric],
    Field(min_length=1),
    BeforeValidator(as_list, json_schema_input_type=str | list[Metric]),
]


class Exclude(SweepModelBase):
    """Jobs that must not run: model glob x image glob, and why."""

    model: Glob = "*"
    image: Glob = "*"
    reason: NonEmpty


class Sweep(SweepModelBase):
    """A sweep: models x images x prompts x settings."""

    name: NonEmpty | None = Field(
        None, description="A name to find the sweep by. The default is that of the file."
    )
    models: Annotated[list[ModelLike], Field(min_length=1)]
    images: Places = Field(
        default_factory=list,
        description="Files, folders (for images only) or globs, relative to this file.",
    )
    prompts: Annotated[list[PromptLike], Field(min_length=1)]
    generation: GenerationSettings = GenerationSettings()
    image: ImageSettings = ImageSettings()
    video: VideoSettings = VideoSettings()
    limits: Limits = Limits()
    repeats: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    answers: NonEmpty | None = Field(
        None, description="A CSV, JSONL or JSON file of accepted answers, relative to this file."
    )
    scoring: Metrics | None = Field(
        None, description="Metrics, the one that sums up first; by default those that apply."
    )
    order: Literal["quick", "listed"] = Field(
        "quick",
        description="Of models of equal priority: those first that history says are done soon,"
        " or as they are listed.",
    )
    exclude: list[Exclude] = Field(default_factory=list)

    @model_validator(mode="after")
    def scored_against_something(self) -> Self:
        """Metrics without accepted answers are a mistake."""
        if self.scoring and self.answers is None:
            raise ValueError("scoring would be ignored without answers: name their file")
        return self


__all__ = [
    "Exclude",
    "GenerationOverrides",
    "GenerationSettings",
    "ImageSettings",
    "LimitOverrides",
    "Limits",
    "Model",
    "Prompt",
    "Source",
    "Sweep",
    "TurnSpec",
    "VideoSettings",
]

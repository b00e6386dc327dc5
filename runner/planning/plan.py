"""A sweep made concrete: its models with their places, its prompts, images and jobs.

Types only. How a sweep becomes one is `runner.planning.expand`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.sweep import GenerationSettings, Limits, Prompt, Source, Sweep


@dataclass(frozen=True, slots=True)
class ReferenceAnswers:
    """Job to accepted answers, and how all of them are scored; nothing where nothing is known."""

    accepted: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()


EMPTY = ReferenceAnswers()
ELSEWHERE = "imported:"  # prefix of an interpreter path that belongs to another machine


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """Where a model is (hub, local or server; its id or absolute path), and how it is loaded.

    `python` is the interpreter its workers run in, None for our own; `requirements` are what is
    to be installed on top of it (see `runner.environments`).
    """

    source: str
    location: str
    how: Source
    python: str | None = None
    requirements: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model as it takes part in the sweep, with the settings in force for it.

    `fallbacks` are tried in their order with the jobs that did not end ok before.
    """

    position: int
    name: str
    place: LoadTarget
    fallbacks: tuple[LoadTarget, ...]
    generation: GenerationSettings
    overrides: tuple[str, ...]
    limits: Limits
    priority: int = 0
    isolation: str = "worker"


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One cell. Numbers are positions in the plan's lists; images are in the prompt's order."""

    position: int
    entry: int
    prompt: int
    images: tuple[int, ...]
    repeat: int
    skip_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep made concrete: nothing in it depends on the working folder any more."""

    sweep: Sweep
    source: str
    entries: tuple[PlannedModel, ...]
    prompts: tuple[Prompt, ...]
    images: tuple[Path, ...]
    jobs: tuple[PlannedJob, ...]
    expected: ReferenceAnswers = EMPTY

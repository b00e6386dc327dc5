"""The types of a plan: an expanded sweep with its models, prompts, images and jobs.

Plans are built by `runner.planning.expand`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.sweep import GenerationSettings, Limits, Prompt, Source, Sweep

from .image_folders import LeftOut


@dataclass(frozen=True, slots=True)
class ReferenceAnswers:
    """Accepted answers by job position, and the metrics; empty without reference answers."""

    accepted: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()


EMPTY = ReferenceAnswers()
ELSEWHERE = "imported:"  # prefix of an interpreter path that belongs to another machine


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """A model's source (hub, local or server), its location (id or absolute path) and load options.

    `python` is the interpreter of its workers, None for vlmsweep's own; `requirements` are the
    packages to install on top of it (see `runner.environments`).
    """

    source: str
    location: str
    how: Source
    python: str | None = None
    requirements: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model of the sweep, with its merged settings.

    `fallbacks` are tried in order for the jobs that did not end ok.
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
    """One job. Integers are indexes into the plan's lists; images are in the prompt's order."""

    position: int
    entry: int
    prompt: int
    images: tuple[int, ...]
    repeat: int
    skip_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An expanded sweep. It does not depend on the working folder: all paths are absolute.

    `left_out` are the files and folders that were found with the images and are not used.
    `default_name` is the name under which a sweep without one is stored, numbered if it is taken.
    """

    sweep: Sweep
    source: str
    entries: tuple[PlannedModel, ...]
    prompts: tuple[Prompt, ...]
    images: tuple[Path, ...]
    jobs: tuple[PlannedJob, ...]
    expected: ReferenceAnswers = EMPTY
    left_out: tuple[LeftOut, ...] = ()
    default_name: str | None = None

    @property
    def name(self) -> str | None:
        """The name that the sweep has, or that it gets if it is free."""
        return self.sweep.name or self.default_name

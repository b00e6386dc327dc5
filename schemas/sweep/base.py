"""Base class and types shared by the sections of a sweep file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

NonEmpty = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Glob = Annotated[str, Field(min_length=1, description="A glob: * ? [abc], matched without case.")]


class SweepModelBase(BaseModel):
    """Base class of every section of a sweep file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)


def named(key: str) -> Any:
    """Accepts a plain string in place of a section with only `key`."""
    return lambda value: {key: value} if isinstance(value, str) else value


def as_list(value: Any) -> Any:
    """Accepts a plain string in place of a list of one."""
    return [value] if isinstance(value, str) else value

"""What the parts of a sweep file are made of; no part itself."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

NonEmpty = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Glob = Annotated[str, Field(min_length=1, description="A glob: * ? [abc], matched without case.")]


class SweepModelBase(BaseModel):
    """What every part of a sweep file has in common: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)


def named(key: str) -> Any:
    """Lets a bare string stand for a part in which only `key` is given."""
    return lambda value: {key: value} if isinstance(value, str) else value


def as_list(value: Any) -> Any:
    """Lets one thing stand for a list of one."""
    return [value] if isinstance(value, str) else value

"""Options for loading a model, shared by preflight, queue, database and workers.

Standard library only. A new option is a field here, the same field of `schemas.sweep.model.Source`
with its check and help, and the code that uses it.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from .engines import AUTO

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """The load options of one model.

    `device` is "auto", "cpu", "mps", "cuda" or "cuda:N". `processor` holds settings passed to
    the model's own processor (for example `do_image_splitting`). Unless `allow_oversize`, weights
    that cannot fit into memory are not loaded. `url` is the address of a remote engine's server,
    `api_key_env` the name of the environment variable that holds its key, never the key itself.
    """

    engine: str = AUTO
    dtype: Dtype = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    allow_pickle: bool = False
    allow_oversize: bool = False
    processor: dict[str, Any] = field(default_factory=dict)
    url: str | None = None
    api_key_env: str | None = None

    @classmethod
    def of(cls, options: object) -> Self:
        """Take the options from the attributes of `options`, such as a `Source` or a `Load`."""
        return cls(**{name: getattr(options, name) for name in OPTIONS})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote; a missing option has its default.

        Raises ValueError for anything but a JSON object of known options with valid values.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("the load options are not a JSON object")
        if unknown := sorted(set(values) - set(OPTIONS)):
            raise ValueError(f"unknown load option {unknown[0]!r}")
        hints = typing.get_type_hints(LoadSpec)
        for name, value in values.items():
            if not has_type(value, hints[name]):
                raise ValueError(f"{value!r} is not a valid value of the load option {name!r}")
        return cls(**values)

    def options(self) -> dict[str, Any]:
        """Return the options by name, in order of definition."""
        return {name: getattr(self, name) for name in OPTIONS}

    def changed_options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults."""
        default = LoadSpec().options()
        return {name: value for name, value in self.options().items() if value != default[name]}

    def as_json(self) -> str:
        """Write all options as JSON, keys sorted: equal options give equal texts."""
        return json.dumps(self.options(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


OPTIONS = tuple(option.name for option in fields(LoadSpec))


def has_type(value: object, hint: Any) -> bool:
    """Return whether a JSON value fits the type of an option. True and 1 are different."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(has_type(value, argument) for argument in arguments)
    return type(value) is (origin or hint)

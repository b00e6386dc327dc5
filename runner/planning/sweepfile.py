"""Reads a sweep file (YAML or TOML) and reports all its errors at once.

The allowed keys and values are defined by `schemas.sweep`; sweeps are expanded by
`runner.planning.expand`.
"""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.sweep import Sweep

from ..errors import SweepFileError
from ..scoring.metrics import known_metrics
from ..system.read_file import UnreadableFileError, read_text
from ..text.sanitize import display_path
from ..text.suggest import closest
from ..text.units import pluralize
from . import safe_load

MAX_BYTES = 10_000_000
MAX_PROBLEMS = 100


def read(path: Path) -> Sweep:
    """Read a `.yaml`, `.yml`, `.json` or `.toml` file. Raises SweepFileError with all problems."""
    return validate(load_data(path), str(path))


def load_data(path: Path) -> Any:
    """Return the data of a sweep file, not validated yet. Raises SweepFileError."""
    try:
        return parse(read_text(path, MAX_BYTES), path)
    except UnreadableFileError as error:
        raise SweepFileError(f"cannot read {display_path(path)}: {error}") from error


def parse(text: str, path: Path) -> Any:
    """Parse the text of a sweep file; the suffix selects the syntax. Raises SweepFileError."""
    suffix = path.suffix.lower()
    try:
        if suffix in {".toml", ".yaml", ".yml", ".json"}:
            return safe_load.load(text, suffix)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SweepFileError(f"{path} is not valid {suffix[1:].upper()}: {error}") from error
    raise SweepFileError(
        f"{path} is neither YAML nor TOML by its name",
        hint="name the file .yaml or .toml; images and models go with -i and -m",
    )


def validate(data: Any, source: str) -> Sweep:
    """Validate data and return the Sweep; messages name `source`. Raises SweepFileError."""
    if not isinstance(data, dict):
        raise SweepFileError(
            f"{source} is not a mapping",
            hint="a sweep file has the keys models, images and prompts",
        )
    try:
        return Sweep.model_validate(data, context={"metrics": tuple(known_metrics())})
    except ValidationError as error:
        found = error.errors()
        lines = sorted({format_problem(detail) for detail in found[:MAX_PROBLEMS]})
        count = pluralize(len(lines), "problem")
        if len(found) > MAX_PROBLEMS:
            count = f"the first {len(lines)} of {len(found)} problems"
        raise SweepFileError(
            f"{count} in {source}:\n" + "\n".join(f"  {line}" for line in lines),
            hint="full syntax: vlmsweep help sweep-file",
        ) from error


TAGS = {"word", "files"}
PLAIN = {
    "model_type": "should be a name or a mapping",
    "string_too_short": "should not be empty",
    "too_short": "should not be empty",
    "list_type": "should be a list",
    "string_type": "should be text",
    "string_unicode": "should be UTF-8: rename it, or name its folder or a glob that matches it",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
}


def format_problem(detail: ErrorDetails) -> str:
    """Return one problem as `path: problem (advice)`."""
    location = [part for part in detail["loc"] if not is_tag(part)]
    where = format_location(location) or "the sweep"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        known = known_keys(location[:-1])
        meant = closest(str(location[-1]), known)
        advice = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}"
        return f"{where}: unknown key ({advice})"
    if detail["type"] == "missing":
        return f"{where}: missing (required)"
    if detail["type"] == "literal_error":
        expected = detail.get("ctx", {}).get("expected", "")
        meant = closest(str(detail["input"]), [word.strip("' ") for word in expected.split(",")])
        hint = f", did you mean {meant}?" if meant else ""
        return f"{where}: {quote_value(detail['input'])} is not one of {expected}{hint}"
    if detail["type"] == "value_error":
        return f"{where}: {message}"
    message = PLAIN.get(detail["type"], lower_first(message))
    if detail["type"] == "string_pattern_mismatch" and location[-1] == "device":
        message = "should be auto, cpu, mps, cuda or cuda:N"
    return f"{where}: {message}, not {quote_value(detail['input'])}"


def is_tag(part: int | str) -> bool:
    """Return True if a part of pydantic's location is a union's branch, not a key of the file."""
    return isinstance(part, str) and (part in TAGS or part.startswith("function-"))


def format_location(location: typing.Sequence[int | str]) -> str:
    """Return `models[0].dtype` for ("models", 0, "dtype")."""
    out = ""
    for part in location:
        out += f"[{part}]" if isinstance(part, int) else (f".{part}" if out else part)
    return out


def known_keys(location: typing.Sequence[int | str]) -> list[str]:
    """Return the keys allowed at a location of the file."""
    here: type[BaseModel] = Sweep
    for part in location:
        if isinstance(part, int) or part not in here.model_fields:
            continue
        inner = model_in(here.model_fields[part].annotation)
        if inner is None:
            break
        here = inner
    return sorted(here.model_fields)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the pydantic type inside an annotation such as list[str | Model], or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (list, typing.Annotated, typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            if found := model_in(part):
                return found
    return None


def quote_value(value: Any) -> str:
    """Return a value for a message: at most 60 characters, on one line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def lower_first(text: str) -> str:
    """Return a text with its first letter in lower case, for use after a colon."""
    return text[:1].lower() + text[1:]


def from_options(
    models: tuple[str, ...],
    images: tuple[str, ...],
    prompts: tuple[str, ...],
    overrides: dict[str, Any],
) -> Sweep:
    """Return the sweep of `vlmsweep run -m ... -i ... -p ...`. Raises SweepFileError."""
    data: dict[str, Any] = {"models": list(models), "images": list(images)}
    data["prompts"] = list(prompts) or ["Describe this image."]
    return validate(merge(data, overrides), "the command line")


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` overridden by `over`; mappings are merged recursively."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out

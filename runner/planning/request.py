"""Builds a plan from a sweep file, from options, or from options that override a file.

Paths in a sweep file are relative to the file, paths on the command line to the working
folder. Plans are run by `runner.api`; no database is used here.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from schemas.engines import is_remote
from schemas.sweep import Sweep

from ..errors import SweepFileError
from ..paths import expand_home
from ..text.sanitize import display_path
from . import expand, family_info, sweepfile
from .plan import Plan

PRESETS = Path(__file__).with_name("presets")
AD_HOC = "run"  # the default name of a sweep that is given by options alone


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """The sweep that the command line describes. `each_model` applies to every model.

    With `models_only` no images are needed.
    """

    file: Path | None = None
    preset: str | None = None
    models: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    each_model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    models_only: bool = False


def build_plan(request: SweepRequest) -> Plan:
    """Return the plan of a request. Raises SweepFileError with all problems."""
    return replace(plan_of_request(request), default_name=default_name(request.file))


def default_name(file: Path | None) -> str:
    """Return the name of a sweep that has none: the stem of its file.

    A stem that is a number would be taken for the number of a sweep, so it is extended.
    """
    if file is None:
        return AD_HOC
    stem = display_path(file.stem)
    return f"sweep-{stem}" if stem.isdecimal() else stem


def plan_of_request(request: SweepRequest) -> Plan:
    """Return the plan of a request, without a default name. Raises SweepFileError."""
    if request.preset is not None:
        if request.file is not None:
            raise SweepFileError("give a sweep file or a preset, not both")
        if request.preset not in presets():
            known = ", ".join(presets())
            raise SweepFileError(f"there is no preset {request.preset!r}; known: {known}")
        sweep = from_file(request, PRESETS / f"{request.preset}.yaml")
        return expand_with_aliases(sweep, Path.cwd(), f"preset {request.preset}")
    if request.file is None:
        return expand_with_aliases(from_options(request), Path.cwd(), "command line")
    base = request.file.absolute().parent
    return expand_with_aliases(from_file(request, request.file), base, str(request.file.absolute()))


def presets() -> list[str]:
    """Return the names of the sweeps that come with vlmsweep."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def expand_with_aliases(sweep: Sweep, base: Path, source: str) -> Plan:
    """Return the plan of a sweep, with short family names replaced by model ids.

    Raises SweepFileError, and FamiliesError when the short names cannot be read.
    """
    bare = {
        m.id
        for m in sweep.models
        if "/" not in m.id and not is_remote(m.engine) and not (base / m.id).is_dir()
    }
    if bare - {expand.DEMO}:
        targets = family_info.aliases()
        models = [
            m.model_copy(update={"id": targets[m.id], "name": m.name or m.id})
            if m.id in bare and m.id in targets
            else m
            for m in sweep.models
        ]
        sweep = sweep.model_copy(update={"models": models})
    return expand.expand_sweep(sweep, base, source)


def from_options(request: SweepRequest) -> Sweep:
    """Return the sweep of a request without a file. Raises SweepFileError."""
    if not request.models:
        raise SweepFileError(
            "nothing to run: give a sweep file, or models with -m",
            hint="vlmsweep run -m demo -i photos/    (or, to see one at work: vlmsweep demo)",
        )
    over = request.settings | {"models": override_models(list(request.models), request.each_model)}
    if not request.images and request.models_only:
        over["prompts"] = [{"text": text, "images": "none"} for text in request.prompts or ("-",)]
    elif not request.images:
        raise SweepFileError(
            "no images: give some with -i",
            hint="-i photos/ or -i 'scans/*.png'; a prompt without images needs a sweep file"
            " with images: none",
        )
    return sweepfile.from_options(request.models, request.images, request.prompts, over)


def from_file(request: SweepRequest, file: Path) -> Sweep:
    """Return a file's sweep, overridden by the options; lists replace those of the file.

    Raises SweepFileError.
    """
    lists = {
        "models": [absolute_path(model, hub=True) for model in request.models],
        "images": [absolute_path(image) for image in request.images],
        "prompts": list(request.prompts),
    }
    over = request.settings | {key: value for key, value in lists.items() if value}
    if not over and not request.each_model:
        return sweepfile.read(file)
    data = sweepfile.load_data(file)
    if not isinstance(data, dict):
        return sweepfile.validate(data, str(file))
    data = sweepfile.merge(data, over)
    data["models"] = override_models(data.get("models"), request.each_model)
    return sweepfile.validate(data, f"{file} with the options given")


def override_models(models: Any, settings: dict[str, Any]) -> Any:
    """Return the models with the same settings added; invalid entries are left to validation."""
    if not settings or not isinstance(models, list):
        return models
    named = [{"id": model} if isinstance(model, str) else model for model in models]
    return [model | settings if isinstance(model, dict) else model for model in named]


def absolute_path(path_text: str, hub: bool = False) -> str:
    """Return a path of the command line as an absolute path; hub ids are returned unchanged."""
    path = expand_home(Path(path_text))
    if hub and not path.is_dir() and not path_text.startswith((".", "~")):
        return path_text
    if glob.has_magic(path_text) and not os.path.lexists(path):
        return (
            path_text if path.is_absolute() else str(Path(glob.escape(str(Path.cwd())), path_text))
        )
    return str(path.absolute())

"""Expands a sweep into its jobs: models x prompts x images x repeats.

Reads the file system only to expand globs and to distinguish local folders from hub ids. The order
of jobs is decided by `runner.supervisor.queue`; images are read by `runner.image_prep`.
"""

from __future__ import annotations

import fnmatch
import glob
import importlib.util
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.engines import is_remote
from schemas.shared import model_folder
from schemas.sweep import GenerationSettings, Model, Prompt, Source, Sweep

from ..errors import SweepFileError
from ..paths import expand_home
from ..text.suggest import suggest
from . import python_spec
from . import references as expectations
from .image_folders import LeftOut, expand_matches, group_by_reason, list_images
from .plan import LoadTarget, Plan, PlannedJob, PlannedModel

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
DEMO = "demo"


def expand_sweep(sweep: Sweep, base: Path, source: str) -> Plan:
    """Return the plan of a sweep. Relative paths are relative to `base`.

    Raises SweepFileError with every missing path and every duplicate name.
    """
    problems: list[str] = []
    left_out: list[LeftOut] = []
    entries = tuple(entry(i, model, sweep, base, problems) for i, model in enumerate(sweep.models))
    problems += duplicate_name_problems([e.name for e in entries])
    shared = find_images(sweep.images, base, "images", problems, left_out)
    paths = dict.fromkeys(shared)
    choices = [
        image_groups(i, p, shared, base, paths, problems, left_out)
        for i, p in enumerate(sweep.prompts)
    ]
    if problems:
        raise SweepFileError(f"{source}:\n" + "\n".join(f"  {problem}" for problem in problems))
    number = {path: i for i, path in enumerate(paths)}
    jobs: list[PlannedJob] = []
    for model in entries:
        for prompt, groups in enumerate(choices):
            for group in groups:
                reason = exclusion_reason(sweep, model, group)
                images = tuple(number[path] for path in group)
                for repeat in range(1, sweep.repeats + 1):
                    jobs.append(
                        PlannedJob(len(jobs), model.position, prompt, images, repeat, reason)
                    )
    known = expectations.references_of_sweep(sweep, base, list(paths), jobs)
    return Plan(
        sweep,
        source,
        entries,
        tuple(sweep.prompts),
        tuple(paths),
        tuple(jobs),
        known,
        tuple(left_out),
    )


def entry(
    position: int, model: Model, sweep: Sweep, base: Path, problems: list[str]
) -> PlannedModel:
    """Resolve one model: its location, and the sweep's settings merged with its own."""
    where = f"models[{position}]"
    place = resolve_target(model, base, where, problems)
    fallbacks = [
        resolve_target(source, base, f"{where}.fallback[{i}]", problems)
        for i, source in enumerate(model.fallback)
    ]
    given = model.generation.model_dump(exclude_none=True)
    merged: dict[str, Any] = sweep.generation.model_dump() | given
    try:
        generation = GenerationSettings.model_validate(merged)
    except ValidationError as error:
        problems.append(f"{where}.generation: {error.errors()[0]['msg'].split(', ', 1)[-1]}")
        generation = sweep.generation
    overrides = sorted(k for k, v in given.items() if getattr(sweep.generation, k) != v)
    limits = sweep.limits.model_copy(update=model.limits.model_dump(exclude_none=True))
    name = model.name or default_name(place)
    return PlannedModel(
        position,
        name,
        place,
        tuple(fallbacks),
        generation,
        tuple(overrides),
        limits,
        model.priority,
        model.isolation,
    )


def resolve_target(source: Source, base: Path, where: str, problems: list[str]) -> LoadTarget:
    """Resolve the location, interpreter and requirements of a model; append problems."""
    place = resolve_location(source, base, where, problems)
    python, needs = source.python, source.requirements
    at = f"{where}.python"
    try:
        found = None if python is None else python_spec.interpreter(python, base)
        at = f"{where}.requirements"
        lines = None if needs is None else python_spec.requirements(needs, base)
    except ValueError as error:
        problems.append(f"{at}: {error}")
        return place
    return replace(place, python=found, requirements=lines)


def resolve_location(source: Source, base: Path, where: str, problems: list[str]) -> LoadTarget:
    """Resolve the location of a model; appends a problem if it is neither a folder nor a hub id."""
    if is_remote(source.engine):
        return LoadTarget("server", source.id, source)
    if source.id == DEMO:
        return LoadTarget("local", str(demo_model()), source)
    path = Path(os.path.abspath(base / expand_home(Path(source.id))))  # noqa: PTH100 - keeps links
    if path.is_dir():
        return LoadTarget("local", str(path), source)
    if known := known_file(path):
        problems.append(f"{where}: {source.id!r} {known}")
    elif is_local_name(source.id):
        problems.append(f"{where}: {source.id!r} is neither a folder nor a hub id (org/name)")
    return LoadTarget("hub", source.id, source)


def known_file(path: Path) -> str | None:
    """Return what a file given as a model is, with the next step; None if there is no file."""
    try:
        if not path.is_file():
            return None
    except OSError:  # too long a name, for example
        return None
    known = model_folder.identify_file(path)
    return f"is {known.what}. {known.hint}"


def is_local_name(name: str) -> bool:
    """Return True if a name can only be a folder, not a hub id."""
    return name.startswith((".", "/", "~")) or not HUB_ID.match(name)


def default_name(place: LoadTarget) -> str:
    """Return the display name of a model without a `name`."""
    if place.how.id == DEMO or place.source != "local":
        return place.how.id
    return Path(place.location).name


def demo_model() -> Path:
    """Return the folder of the demo model, without importing `workers`.

    Raises SweepFileError when the package is not installed.
    """
    spec = importlib.util.find_spec("workers")
    if spec is None or not spec.submodule_search_locations:
        raise SweepFileError("the package 'workers' is not installed")
    return Path(spec.submodule_search_locations[0]) / "demo_model"


def duplicate_name_problems(names: Sequence[str]) -> list[str]:
    """Return a problem for every name used more than once."""
    return [
        f"models: {name!r} is used {names.count(name)} times: give each a different name"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def image_groups(
    position: int,
    prompt: Prompt,
    shared: list[Path],
    base: Path,
    images: dict[Path, None],
    problems: list[str],
    left_out: list[LeftOut],
) -> list[tuple[Path, ...]]:
    """Return the groups of images of a prompt; each group becomes one job."""
    if prompt.images == "none":
        return [()]
    if isinstance(prompt.images, list):
        own = find_images(prompt.images, base, f"prompts[{position}].images", problems, left_out)
        images.update(dict.fromkeys(own))
        return [tuple(own)]
    if not shared and not problems:
        problems.append(
            f"prompts[{position}]: needs images, but `images` is empty"
            " (for a prompt without images, set images: none)"
        )
    return [tuple(shared)] if prompt.images == "all" else [(path,) for path in shared]


def find_images(
    patterns: Iterable[str],
    base: Path,
    place: str,
    problems: list[str],
    left_out: list[LeftOut],
) -> list[Path]:
    """Return the files that paths, folders (recursive) and globs name, without duplicates.

    What a folder or glob holds and is not used is appended to `left_out`.
    """
    found: dict[Path, None] = {}
    for i, pattern in enumerate(patterns):
        before = len(left_out)
        path = base / expand_home(Path(pattern))
        if path.is_dir():
            files = list_images(path, left_out)
            missing = "holds no images (name videos, or match them: *.mp4)"
        elif os.path.lexists(path):
            files, missing = [path], ""
        elif glob.has_magic(pattern):
            # Relative to base, because the sweep's folder may have brackets in its name.
            wanted = str(expand_home(Path(pattern)))
            names = glob.glob(wanted, root_dir=base, recursive=True)  # noqa: PTH207
            files = expand_matches(base, wanted, names, left_out)
            missing = "matches nothing"
        else:
            files, missing = [], f"does not exist{suggest_path(path)}"
        if not files:
            reasons = [one.reason for one, _ in group_by_reason(left_out[before:])]
            why = f"; left out: {', '.join(reasons)}" if reasons else ""
            problems.append(f"{place}[{i}]: {pattern!r} {missing}{why}")
        for file in files:
            found[Path(os.path.abspath(file))] = None  # noqa: PTH100 - links stay as they are
    return list(found)


def suggest_path(path: Path) -> str:
    """Return ` (did you mean ...?)` if the folder has a file with a similar name, else ``."""
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return ""
    return suggest(path.name, names)


def exclusion_reason(sweep: Sweep, entry: PlannedModel, group: tuple[Path, ...]) -> str | None:
    """Return the reason of the first rule that excludes a job, or None."""
    for rule in sweep.exclude:
        model = matches(rule.model, [entry.name, entry.place.how.id, entry.place.location])
        image = rule.image == "*" or any(
            matches(rule.image, [path.name, str(path)]) for path in group
        )
        if model and image:
            return rule.reason
    return None


def matches(pattern: str, names: Iterable[str]) -> bool:
    """Return True if a glob matches any of the names, ignoring case."""
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for name in names)

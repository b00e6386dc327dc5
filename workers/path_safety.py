"""Does the text in a model's folder name files outside of it? Libraries open what it names.

Links belong to whoever owns the file system, and are followed: the hub's cache is made of them.
Paths *in* a file come from whoever wrote the model, and must stay inside its folder. A path that
does not exist here is ignored: many published files hold their author's paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .error_classes import WorkerFailure

# Keys that libraries open as files. Keys that only record the origin of a model are not read.
OPENED = re.compile(r"(?i).*(file|files|path|dir|folder|root|manifest|checkpoint)")
SAID = ("name_or_path", "_name_or_path", "special_tokens_map_file")


def check_reach(folder: Path, name: str, value: Mapping[str, Any]) -> None:
    """Raises `bad_config` if `value`, read from file `name`, refers to an existing file outside."""
    for key, path in referenced_paths(value):
        if is_outside(folder, path):
            raise WorkerFailure(
                "bad_config",
                f"{name} names a file outside the model's folder: {key} is {path!r:.200}",
                "Do not use this checkpoint, or take that key out if the file is yours: it would "
                "be read.",
            )


def referenced_paths(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The file paths in a JSON value, with their keys."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from referenced_paths(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from referenced_paths(part, key)
    elif isinstance(value, str) and OPENED.fullmatch(key) and key not in SAID:
        yield key, value


def is_outside(folder: Path, path: str) -> bool:
    """Whether there is something at a path, and it is not of this folder.

    Libraries resolve it against the working folder or the model's folder.
    """
    for place in (Path(path), folder / path):
        try:
            if place.exists() and not is_inside(folder, place):
                return True
        except (OSError, ValueError):
            continue  # no name that a file could have
    return False


def is_inside(folder: Path, place: Path) -> bool:
    """Whether a path stays in the folder, by its names or by where its links lead."""
    if ".." not in place.parts and place.absolute().is_relative_to(folder.absolute()):
        return True  # by its name: the hub cache's own files are links that lead out
    return place.resolve().is_relative_to(folder.resolve())

"""Reads a JSON file of a checkpoint; reports a broken file, a git-lfs pointer or a dead link."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from schemas.errors import ErrorClass

from .error_classes import WorkerFailure
from .path_safety import check_reach

POINTER = b"version https://git-lfs"
LARGEST_JSON = 64 << 20
CACHED = re.compile(r"^models--(.+)$")  # how the hub's cache names a repository's folder


def refetch_hint(folder: Path) -> str:
    """A hint on how to fetch these files again."""
    for place, part in enumerate(folder.parts):
        match = CACHED.match(part)
        if match:
            commit = "".join(f" --revision {name}" for name in folder.parts[place + 2 :][:1])
            name = match[1].replace("--", "/")
            return f"Fetch the files again: `hf download {name}{commit} --force-download`."
    return f"Copy the files into {folder} once more, or run `git lfs pull` there."


def is_pointer(path: Path) -> bool:
    """Whether this is what git leaves in place of a large file when git-lfs did not run."""
    if not path.is_file() or path.stat().st_size > 1024:
        return False
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def read_object(path: Path, error_class: ErrorClass) -> dict[str, Any]:
    """The object in a JSON file. Raises `error_class` for anything else, or a pointer."""
    if is_pointer(path):
        raise pointer_failure(error_class, path)
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_JSON:
            raise ValueError("not a file of a sensible size")
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        check_reach(path.parent, path.name, value)
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path.name} can't be read: {error}"
        raise WorkerFailure(error_class, message, refetch_hint(path.parent)) from error
    return value


def check_link(path: Path, error_class: ErrorClass) -> None:
    """Raises `error_class` if the path is a link whose target does not exist."""
    if path.is_symlink() and not path.exists():
        message = f"{path.name} is a link to a file that does not exist"
        raise WorkerFailure(error_class, message, refetch_hint(path.parent))


def pointer_failure(error_class: ErrorClass, path: Path) -> WorkerFailure:
    """The failure for a file that git-lfs has not fetched."""
    message = f"{path.name} is a git-lfs pointer, not the file itself"
    return WorkerFailure(error_class, message, f"Run `git lfs pull` in {path.parent}.")

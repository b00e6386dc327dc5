"""Finds the interpreter and the requirements that a model of a sweep names.

Only files are checked here; `runner.environments` probes interpreters and creates environments.
Every error is a ValueError whose message leaves out values that could contain a password.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..paths import expand_home
from ..system.read_file import UnreadableFileError, read_text

MAX_BYTES = 1_000_000
LOGIN = re.compile(r"://[^/\s]*@")
VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
# Options of pip and uv that name files; other options are passed on unchanged.
READ = ("-r", "--requirement")
PINS = ("-c", "--constraint")
EDITABLE = ("-e", "--editable")


def interpreter(named: str, base: Path) -> str:
    """Return the absolute path of an interpreter: a file, an environment's folder or a command.

    Raises ValueError.
    """
    path = Path(os.path.abspath(base / expand_home(Path(named))))  # noqa: PTH100 - a venv is a link
    if path.is_dir():
        inside = path / "bin" / "python"
        if not inside.exists():
            raise ValueError(f"{named!r} is not an environment: it has no bin/python")
        path = inside
    if path.is_file():
        if not os.access(path, os.X_OK):
            raise ValueError(f"{named!r} is not a program")
        return str(path)
    on_path = shutil.which(named) if "/" not in named else None
    if on_path is None:
        raise ValueError(f"{named!r} is neither an interpreter nor an environment's folder")
    return str(Path(on_path).absolute())


def requirements(named: str | Iterable[str], base: Path) -> tuple[str, ...]:
    """Return the requirement lines of a list, or of a file and the files it includes.

    Paths become absolute. Raises ValueError.
    """
    lines = from_file(base / expand_home(Path(named)), 0) if isinstance(named, str) else None
    if lines is None:
        lines = [line for text in named for line in resolve_requirement_line(text, base, 0)]
    if not any(not line.startswith("-") for line in lines):
        raise ValueError("names no package")
    return tuple(dict.fromkeys(lines))


def from_file(path: Path, depth: int) -> list[str]:
    """Return the lines of a requirements file. Raises ValueError."""
    if depth > 8:
        raise ValueError(f"{path.name} names itself, or files too deep")
    try:
        text = read_text(path, MAX_BYTES)
    except UnreadableFileError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error}") from error
    joined = text.replace("\\\r\n", " ").replace("\\\n", " ")
    return [
        requirement
        for line in joined.splitlines()
        for requirement in resolve_requirement_line(line, path.parent, depth)
    ]


def resolve_requirement_line(line: str, base: Path, depth: int) -> list[str]:
    """Return a line without comments, with included files and absolute paths. Raises ValueError."""
    line = " ".join(re.sub(r"(^|\s)#.*$", "", line).split())
    if not line:
        return []
    if LOGIN.search(VARIABLE.sub("", line)):
        raise ValueError(
            "holds an address with a name or password: keep that in pip's or uv's own settings"
        )
    option, _, rest = line.replace("=", " ", 1).partition(" ") if line[0] == "-" else ("", "", line)
    if option in READ:
        return from_file(base / expand_home(Path(rest)), depth + 1)
    if option in PINS:
        return [f"-c {existing(rest, base)}"]
    if option in EDITABLE:
        raise ValueError(f"{line!r}: a folder may change unnoticed, build a wheel of it")
    if not option and line.startswith((".", "/", "~")):
        return [existing(line, base)]
    return [line]


def existing(path: str, base: Path) -> str:
    """Return the absolute path of a file. Raises ValueError if it is missing or a folder."""
    found = Path(os.path.abspath(base / expand_home(Path(path))))  # noqa: PTH100
    if found.is_dir():
        raise ValueError(f"{path!r} is a folder, which may change unnoticed: build a wheel of it")
    if not found.is_file():
        raise ValueError(f"{path!r} does not exist")
    return str(found)

"""Where environments that were made lie, each under a key that says what it was made of.

Beside each: its lock, the log of its making, and a note of what it is made of and why it failed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from .probe import Interpreter

VARIABLE = "VLMSWEEP_ENVIRONMENTS"
FORMAT = 1
ELSEWHERE = "imported:"  # stands before an interpreter that another machine's sweep ran in


def root() -> Path:
    """The folder of all environments: VLMSWEEP_ENVIRONMENTS, or one in the user's cache."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("vlmsweep", appauthor=False)) / "environments"


@dataclass(frozen=True, slots=True)
class Note:
    """What an environment is made of, and why it could not be made; None where it could."""

    base: str
    requirements: list[str]
    message: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """An environment's place; whether it is there is another matter."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def whole(self) -> bool:
        """Whether it is there: it comes by a rename, so never by halves."""
        return self.python.exists()

    @property
    def log(self) -> Path:
        """What its making printed."""
        return self.beside("log")

    def beside(self, kind: str) -> Path:
        """A file that belongs to it."""
        return self.folder.with_name(f"{self.folder.name}.{kind}")

    def write(self, note: Note) -> None:
        """Keeps what it is made of."""
        self.beside("json").write_text(json.dumps(asdict(note), indent=1), encoding="utf-8")

    def read(self) -> Note | None:
        """What was kept of it, if anything was."""
        try:
            return Note(**json.loads(self.beside("json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def slot(base: Interpreter, requirements: Sequence[str]) -> Slot:
    """The place of the environment made of these, the same for the same."""
    parts = [FORMAT, base.version, base.platform, base.prefix, list(requirements)]
    parts += [digest(line) for line in requirements]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
    return Slot(root() / key)


def slot_of(python: str) -> Slot | None:
    """The place whose interpreter this path is; None for one that we do not keep."""
    folder = Path(python).parents[1] if len(Path(python).parents) > 1 else None
    return Slot(folder) if folder is not None and folder.parent == root() else None


def digest(requirement: str) -> str | None:
    """The hash of a file that a requirement names by its path."""
    path = Path(requirement.removeprefix("-c "))
    if not path.is_absolute() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

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

from ..system.atomic_write import atomic_write
from .probe import Interpreter

VARIABLE = "VLMSWEEP_ENVIRONMENTS"
FORMAT = 1


def root() -> Path:
    """The folder of all environments: VLMSWEEP_ENVIRONMENTS, or one in the user's cache."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("vlmsweep", appauthor=False)) / "environments"


@dataclass(frozen=True, slots=True)
class EnvironmentManifest:
    """What an environment is made of, and why it could not be made; None where it could."""

    base: str
    requirements: list[str]
    message: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class CachedEnvironment:
    """An environment's place; whether it is there is another matter."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def exists(self) -> bool:
        """Whether it is there: it comes by a rename, so never by halves."""
        return self.python.exists()

    @property
    def log(self) -> Path:
        """What its making printed."""
        return self.sidecar_file("log")

    def sidecar_file(self, kind: str) -> Path:
        """A file that belongs to it."""
        return self.folder.with_name(f"{self.folder.name}.{kind}")

    def write(self, note: EnvironmentManifest) -> None:
        """Keeps what it is made of."""
        with atomic_write(self.sidecar_file("json")) as file:
            file.write(json.dumps(asdict(note), indent=1).encode())

    def read(self) -> EnvironmentManifest | None:
        """What was kept of it, if anything was."""
        try:
            return EnvironmentManifest(
                **json.loads(self.sidecar_file("json").read_text(encoding="utf-8"))
            )
        except (OSError, ValueError, TypeError):
            return None


def cached_environment(base: Interpreter, requirements: Sequence[str]) -> CachedEnvironment:
    """The place of the environment made of these, the same for the same."""
    parts = [FORMAT, base.version, base.platform, base.prefix, list(requirements)]
    parts += [digest(line) for line in requirements]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
    return CachedEnvironment(root() / key)


def find_cached_environment(python: str) -> CachedEnvironment | None:
    """The place whose interpreter this path is; None for one that we do not keep."""
    folder = Path(python).parents[1] if len(Path(python).parents) > 1 else None
    return CachedEnvironment(folder) if folder is not None and folder.parent == root() else None


def digest(requirement: str) -> str | None:
    """The hash of a file that a requirement names by its path."""
    path = Path(requirement.removeprefix("-c "))
    if not path.is_absolute() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

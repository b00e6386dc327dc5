"""The cache of environments: one folder each, named by a hash of its contents.

Next to each folder: its lock, its build log, and a manifest with the contents or the error.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from ..paths import expand_home
from ..system.atomic_write import atomic_write
from .probe import Interpreter

VARIABLE = "VLMSWEEP_ENVIRONMENTS"
FORMAT = 1


def root() -> Path:
    """Return the folder of all environments: VLMSWEEP_ENVIRONMENTS, or one in the user's cache."""
    given = os.environ.get(VARIABLE)
    if given:
        return expand_home(Path(given)).absolute()
    return Path(platformdirs.user_cache_dir("vlmsweep", appauthor=False)) / "environments"


@dataclass(frozen=True, slots=True)
class EnvironmentManifest:
    """The contents of an environment; `message` and `hint` are None unless its creation failed."""

    base: str
    requirements: list[str]
    message: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class CachedEnvironment:
    """The folder of an environment, which may not exist yet; see `exists`."""

    folder: Path

    @property
    def python(self) -> Path:
        """The path of its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def exists(self) -> bool:
        """True if the environment is complete: the folder is renamed only then."""
        return self.python.exists()

    @property
    def log(self) -> Path:
        """The path of its build log."""
        return self.sidecar_file("log")

    def sidecar_file(self, kind: str) -> Path:
        """Return the path of a file next to the folder."""
        return self.folder.with_name(f"{self.folder.name}.{kind}")

    def write(self, note: EnvironmentManifest) -> None:
        """Write the manifest. Raises OSError."""
        with atomic_write(self.sidecar_file("json")) as file:
            file.write(json.dumps(asdict(note), indent=1).encode())

    def read(self) -> EnvironmentManifest | None:
        """Return the manifest, or None if it is missing or invalid."""
        try:
            return EnvironmentManifest(
                **json.loads(self.sidecar_file("json").read_text(encoding="utf-8"))
            )
        except (OSError, ValueError, TypeError):
            return None


def cached_environment(base: Interpreter, requirements: Sequence[str]) -> CachedEnvironment:
    """Return the environment of these packages, existing or not."""
    parts = [FORMAT, base.version, base.platform, base.prefix, list(requirements)]
    parts += [digest(line) for line in requirements]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
    return CachedEnvironment(root() / key)


def find_cached_environment(python: str) -> CachedEnvironment | None:
    """Return the cached environment of an interpreter path; None for any other path."""
    folder = Path(python).parents[1] if len(Path(python).parents) > 1 else None
    return CachedEnvironment(folder) if folder is not None and folder.parent == root() else None


def digest(requirement: str) -> str | None:
    """Return the sha256 of a file that a requirement names by path, else None."""
    path = Path(requirement.removeprefix("-c "))
    if not path.is_absolute() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

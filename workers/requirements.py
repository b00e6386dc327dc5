"""Checks whether the environment has all that a checkpoint needs, by files alone.

The preflight check reports it, and the worker refuses by it before a model library is imported.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.commands import Load
from schemas.shared.packages import MissingPackages

from .checkpoint import Checkpoint
from .engine import check_installed, is_installed, missing_engine
from .families import FamilyModule
from .quantisation import check_engine_reads, quantisation_method, quantiser_packages


def check_environment(checkpoint: Checkpoint, family: FamilyModule, engine: str, ask: Load) -> None:
    """Raises `WorkerFailure` if the engine cannot load the checkpoint in this environment."""
    check_loadable(checkpoint, engine)
    check_installed(missing_for(checkpoint, family, engine, ask))


def check_loadable(checkpoint: Checkpoint, engine: str) -> None:
    """Raises `WorkerFailure` if no package could make the engine load the checkpoint."""
    check_engine_reads(checkpoint, engine)


def missing_for(
    checkpoint: Checkpoint, family: FamilyModule, engine: str, ask: Load
) -> list[MissingPackages]:
    """All packages that are missing to load the checkpoint, by what needs them."""
    found = missing_engine(engine)
    listed = {name for need in found for name in need.packages}
    for needed_by, packages in needs(checkpoint, family, engine, ask):
        names = tuple(n for n in dict.fromkeys(packages) if n not in listed and not is_installed(n))
        listed.update(names)
        if names:
            found.append(MissingPackages(needed_by, names))
    return found


def needs(
    checkpoint: Checkpoint, family: FamilyModule, engine: str, ask: Load
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The import names that a checkpoint needs besides the engine's, by what needs them."""
    extra = tuple(name.replace("-", "_") for name in family.FAMILY.extra_packages)
    yield f"the {family.FAMILY.name} family needs", extra
    method = quantisation_method(checkpoint.config)
    yield f"weights quantised by {method} need", quantiser_packages(checkpoint.config, engine)

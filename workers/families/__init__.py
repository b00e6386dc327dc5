"""The families we know, and which of them a checkpoint belongs to.

A family is a module of this folder with `FAMILY: schemas.family.Family` and, where the engine's
ordinary way won't do, a class of hooks per engine (in `hooks`), named in `HOOKS` by engine. A file
is all that a new one needs. Other packages add families, modules or objects of that shape, as
entry points in the group `vlmsweep.families`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from schemas.family import Family

FALLBACK = "generic"
GROUP = "vlmsweep.families"


class FamilyModule(Protocol):
    """The interface of a family's module.

    `HOOKS` maps an engine's name to "module:Class" of hooks, imported only when that engine
    loads the family; what the class looks like is the engine's affair.
    """

    FAMILY: Family
    HOOKS: Mapping[str, str]


def all_families() -> list[FamilyModule]:
    """Other packages' families first, so that they can replace built-in ones; the fallback last."""
    added = [cast(FamilyModule, point.load()) for point in entry_points(group=GROUP)]
    return [*added, *map(_built_in, built_in_names()), _built_in(FALLBACK)]


def built_in_names() -> list[str]:
    """Built-in families but the fallback: every module in this folder is one."""
    modules = pkgutil.iter_modules(__path__)
    return sorted(m.name for m in modules if not m.ispkg and m.name != FALLBACK)


def find_family(config: Mapping[str, Any]) -> FamilyModule:
    """The family whose words a checkpoint's `config.json` uses, or the generic one."""
    for module in all_families():
        if matches(module.FAMILY, config):
            return module
    return _built_in(FALLBACK)


def matches(family: Family, config: Mapping[str, Any]) -> bool:
    """Whether model_type, architectures or auto_map of `config` name this family."""
    if config.get("model_type") in family.model_types:
        return True
    if set(config.get("architectures") or ()) & set(family.architectures):
        return True
    remote = config.get("auto_map") or {}
    classes = {str(value).rpartition(".")[2] for value in remote.values()}
    return bool(classes & set(family.auto_map))


def hooks_for(module: FamilyModule, engine: str) -> type[Any] | None:
    """The family's hooks class for one engine, or None if the engine's default is enough."""
    name = module.HOOKS.get(engine)
    if name is None:
        return None
    path, attribute = name.split(":")
    return cast("type[Any]", getattr(importlib.import_module(path), attribute))


def _built_in(name: str) -> FamilyModule:
    return cast(FamilyModule, importlib.import_module(f"workers.families.{name}"))

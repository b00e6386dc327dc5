"""Findings about models: files, packages, custom code, downloads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from schemas.shared import hub_cache
from schemas.shared.packages import (
    MissingPackages,
    describe_missing,
    install_command,
    pip_name,
)

from ..system.disk import free_bytes
from ..text import units
from ..text.sanitize import display_path
from .finding import Finding, LoadVariant
from .probe import ProbeResult


def check_models(outlooks: Sequence[ProbeResult]) -> Iterator[Finding]:
    """Yield the findings of all models, then those about disk space for downloads."""
    for outlook in outlooks:
        if outlook.finding is not None:
            yield outlook.finding
        elif outlook.facts is not None:
            yield from of_model(outlook.variant, outlook.facts)
    yield from check_download_space(outlooks)


def of_model(variant: LoadVariant, facts: dict[str, Any]) -> Iterator[Finding]:
    """Yield the findings of one model."""
    problem = facts["problem"]
    if isinstance(problem, dict):
        message, hint = str(problem["message"]), problem["hint"]
        yield Finding(variant.severity, str(problem["error_class"]), variant.name, message, hint)
    missing = [MissingPackages(**need) for need in facts["missing_packages"]]
    if missing:
        message = describe_missing(missing, environment_name(variant))
        hint = install_hint(variant, missing)
        yield Finding(variant.severity, "missing_package", variant.name, message, hint)
    if facts["has_custom_code"] and not variant.load.trust_remote_code:
        message = (
            "it has custom code, which is not run; the library may support the model without it"
        )
        yield Finding("note", "remote_code", variant.name, message)


def environment_name(variant: LoadVariant) -> str:
    """Return the environment of a variant as text."""
    if variant.requirements is not None:
        return "the environment made of its requirements"
    return display_path(variant.python) if variant.python else "vlmsweep's environment"


def install_hint(variant: LoadVariant, missing: Sequence[MissingPackages]) -> str:
    """Return how to install packages where the variant's workers run."""
    if variant.requirements is not None:
        names = (pip_name(name) for need in missing for name in need.packages)
        return f"name them under requirements: {', '.join(names)}"
    return install_command(missing, display_path(variant.python) if variant.python else None)


def check_download_space(outlooks: Sequence[ProbeResult]) -> Iterator[Finding]:
    """Compare the size of downloads with the free space of the hub cache."""
    wanted: dict[tuple[str, str | None], tuple[LoadVariant, int | None]] = {}
    for outlook in outlooks:
        if (
            outlook.facts is not None
            and outlook.facts["needs_download"]
            and not outlook.facts["problem"]
        ):
            load, size = outlook.variant.load, outlook.facts["download_bytes"]
            wanted[load.model, load.revision] = (outlook.variant, size)
    free = free_bytes(hub_cache.root())
    left = units.size(free) if free is not None else "unknown space"
    for variant, size in wanted.values():
        much = "of unknown size" if size is None else f"{units.size(size)}"
        message = f"will be downloaded from the hub, {much}, into {left} free"
        yield Finding("note", "fetch", variant.name, message, "vlmsweep fetch downloads it now")
    total = sum(size for _, size in wanted.values() if size is not None)
    if free is not None and total > free:
        where = display_path(hub_cache.root())
        message = f"{units.size(total)} are to be downloaded, and {left} are free"
        yield Finding("problem", "fetch", where, message, "free disk space, or set HF_HUB_CACHE")

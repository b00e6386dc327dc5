"""Applies the families' exclusion rules: images that an old version of a library can't do.

The rules are data in the families' files. This module finds the one that applies to a run, which
then counts as skipped, with the rule's reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from schemas.commands import Turn
from schemas.events import Loaded
from schemas.family import Exclusion, Family

from .error_classes import WorkerFailure


def refuse_excluded(family: Family, loaded: Loaded, turns: Sequence[Turn]) -> None:
    """Raises WorkerFailure("excluded") where a rule concerns these versions and images."""
    rules = [rule for rule in family.exclusions if rule_applies(rule, loaded)]
    if not rules:
        return
    shapes = {shape(path) for turn in turns for path in turn.images}
    for rule in rules:
        if shapes and (rule.images == "any" or rule.images in shapes):
            version = loaded.versions[rule.package]
            raise WorkerFailure(
                "excluded",
                f"excluded for {rule.package} below {rule.below} (here {version}): {rule.reason}",
                f"Upgrade it: pip install --upgrade {rule.package}",
            )


def rule_applies(rule: Exclusion, loaded: Loaded) -> bool:
    """Whether a rule concerns the engine in use and the version installed."""
    version = loaded.versions.get(rule.package)
    return (
        loaded.engine == rule.engine and version is not None and version_below(version, rule.below)
    )


def version_below(version: str, bound: str) -> bool:
    """Whether a version is lower than a bound, number by number ("0.1.27" < "0.10")."""
    pairs = zip_longest(numbers(version), numbers(bound), fillvalue=0)
    return next((a < b for a, b in pairs if a != b), False)


def numbers(version: str) -> list[int]:
    """The leading numbers of a version: [0, 1, 27] for "0.1.27rc1"."""
    found = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in found.group().split(".")] if found else []


def shape(path: str) -> str:
    """square, portrait or landscape, by the prepared image's own size."""
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    if width == height:
        return "square"
    return "landscape" if width > height else "portrait"

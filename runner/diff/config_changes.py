"""Differences in the configuration of two sides: settings, loading of models, libraries.

A value is what all of a side agree on, or their values in a row. A value unknown on either side
does not count as a change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .pairing import JobPair, ModelPair
from .side import Record, Snapshot, SnapshotModel

LOADED = (
    *("engine", "device", "dtype", "attention", "family", "model_class", "processor_class"),
    *("commit_hash", "fingerprint"),
)
MACHINE = ("python", "platform", "machine", "cpu", "cores", "accelerator")
SUPERVISOR = "vlmsweep itself"


@dataclass(slots=True)
class ConfigChange:
    """One thing that differs, and the models it differs for."""

    what: str
    a: Any
    b: Any
    models: list[str] = field(default_factory=list)


def compare_settings(
    a: Snapshot, b: Snapshot, model_pairs: Sequence[ModelPair], pairs: Iterable[JobPair]
) -> list[ConfigChange]:
    """Settings asked for, and the ways models were loaded."""
    found: list[tuple[str, Any, Any, str]] = []
    for model_pair in model_pairs:
        if model_pair.a is None or model_pair.b is None:
            continue
        mine, other = a.models[model_pair.a], b.models[model_pair.b]
        for what, left, right in sorted(settings_diff(mine, other)):
            found.append((what, left, right, other.name))
        for key in LOADED:
            left, right = common_value(mine.workers, key), common_value(other.workers, key)
            if left is not None and right is not None and left != right:
                found.append((f"loaded.{key}", left, right, other.name))
    for pair in pairs:
        for what, left, right in image_preparation_diff(pair):
            model_pair = model_pairs[pair.model_pair]
            found.append((what, left, right, b.models[model_pair.b or 0].name))
    return group_by_change(found)


def settings_diff(a: SnapshotModel, b: SnapshotModel) -> Iterator[tuple[str, Any, Any]]:
    """Settings of one model that differ."""
    if (a.source, a.location) != (b.source, b.location):
        yield "location", a.location, b.location
    for key in {*a.settings, *b.settings}:
        left, right = a.settings.get(key), b.settings.get(key)
        if left != right:
            yield key, left, right


def image_preparation_diff(pair: JobPair) -> Iterator[tuple[str, Any, Any]]:
    """Differences in the preparation of a pair's images."""
    if pair.a and pair.b:
        for mine, other in zip(pair.a["images"], pair.b["images"], strict=True):
            for key in ("max_side", "max_frames"):
                if mine[key] != other[key]:
                    yield f"image.{key}", mine[key], other[key]


def environments(a: Snapshot, b: Snapshot, model_pairs: Sequence[ModelPair]) -> list[ConfigChange]:
    """Libraries and machines, by what each model's workers reported and by the supervisors."""
    found: list[tuple[str, Any, Any, str]] = []
    for model_pair in model_pairs:
        if model_pair.a is not None and model_pair.b is not None:
            mine, other = a.models[model_pair.a], b.models[model_pair.b]
            found += environment_diff(
                worker_environments(a, mine), worker_environments(b, other), other.name
            )
    found += environment_diff(a.supervisors, b.supervisors, SUPERVISOR)
    return group_by_change(found)


def worker_environments(side: Snapshot, model: SnapshotModel) -> list[Record]:
    """The environments a model's workers ran in."""
    numbers = {worker["environment_id"] for worker in model.workers}
    return [side.environments[number] for number in sorted(numbers - {None})]


def environment_diff(
    a: Sequence[Record], b: Sequence[Record], whose: str
) -> Iterator[tuple[str, Any, Any, str]]:
    """Differences between environments, libraries first."""
    if not a or not b:
        return
    left, right = libraries(a), libraries(b)
    for name in sorted({*left, *right}):
        mine, other = (
            common_value(left.get(name, ()), "version"),
            common_value(right.get(name, ()), "version"),
        )
        if mine != other:
            yield name, mine, other, whose
    for key in MACHINE:
        if common_value(a, key) != common_value(b, key):
            yield key, common_value(a, key), common_value(b, key), whose
    if memory(a) != memory(b):
        yield (
            "memory_bytes",
            common_value(a, "memory_bytes"),
            common_value(b, "memory_bytes"),
            whose,
        )


def libraries(environments: Iterable[Record]) -> dict[str, list[Record]]:
    """Each library's versions."""
    found: dict[str, list[Record]] = {}
    for row in environments:
        for name, version in json.loads(row["packages"]).items():
            found.setdefault(name, []).append({"version": version})
    return found


def memory(environments: Iterable[Record]) -> set[int | None]:
    """The machines' memory by the gigabyte: a kernel's update moves the rest."""
    sizes = {row["memory_bytes"] for row in environments}
    return {None if size is None else round(size / 1e9) for size in sizes}


def common_value(rows: Iterable[Record], key: str) -> Any:
    """The common value of all rows, or their values joined; None if no row has a value."""
    values = sorted({row[key] for row in rows} - {None})
    return values[0] if len(values) == 1 else ", ".join(map(str, values)) or None


def group_by_change(found: Iterable[tuple[str, Any, Any, str]]) -> list[ConfigChange]:
    """Equal changes of several models as one."""
    made: dict[str, ConfigChange] = {}
    for what, a, b, model in found:
        one = made.setdefault(json.dumps([what, a, b]), ConfigChange(what, a, b))
        if model not in one.models:
            one.models.append(model)
    return list(made.values())

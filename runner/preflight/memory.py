"""Compares weights and earlier peak memory with the available memory.

Weights are a lower bound: a model that passes may still run out of memory. Workers check again,
more precisely, before they load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.engines import engines

from ..database.estimates import Estimate
from ..system import host
from ..text import units
from .devices import Device
from .finding import Finding, LoadVariant
from .probe import ProbeResult

HINT = "a smaller dtype, a smaller or quantised copy, or another device"


@dataclass(frozen=True, slots=True)
class MemoryPool:
    """One memory: total and free bytes, and its name."""

    total: int
    free: int
    name: str


def check_memory(
    outlooks: Sequence[ProbeResult],
    estimates: Mapping[tuple[str, str], Estimate],
    devices: Sequence[Device] | None,
) -> Iterator[Finding]:
    """Yield findings about models that do not fit, or may not fit."""
    total, free = host.memory_limits()
    main = MemoryPool(total, free, "memory")
    for outlook in outlooks:
        variant, facts = outlook.variant, outlook.facts
        if facts is None or facts["problem"]:
            continue
        asked = variant.load.device
        if asked.startswith("cuda") and number(asked) >= len(devices or ()):
            seen = f"{len(devices)} NVIDIA devices are" if devices else "no NVIDIA device is"
            message = f"{asked} is requested, but {seen} visible"
            # torch calls AMD devices cuda, too; nvidia-smi does not list them.
            severity = variant.severity if devices is not None else "warning"
            yield Finding(severity, "unsupported_device", variant.name, message, "device: auto")
            continue
        known = estimates.get((variant.source, variant.load.model), Estimate())
        weights, room = (
            facts["weights_bytes"],
            target_memory(variant, facts["engine"], devices, main),
        )
        if weights is not None:
            yield from check_weights(variant, weights, room)
        if room is main and known.peak_rss_bytes is not None:
            yield from check_previous_peak(variant, known.peak_rss_bytes, main)


def number(device: str) -> int:
    """Return the index of a device: 1 for cuda:1, 0 for cuda."""
    return int(device.partition(":")[2] or 0)


def target_memory(
    variant: LoadVariant, engine: object, devices: Sequence[Device] | None, main: MemoryPool
) -> MemoryPool:
    """Return the memory that the weights will use. A Mac has one for CPU and GPU."""
    asked = variant.load.device
    info = engines().get(str(engine))
    unified = info is not None and info.unified_memory
    if unified or asked in ("cpu", "mps") or not devices:
        return main
    device = devices[number(asked)]
    return MemoryPool(device.total, device.free, f"memory of {device.name}")


def check_weights(variant: LoadVariant, weights: int, room: MemoryPool) -> Iterator[Finding]:
    """Compare weights with a memory and with the user's limit."""
    limit = variant.limits.memory_bytes
    size = units.size(weights)
    if variant.load.allow_oversize:
        return
    if weights > room.total:
        message = f"its weights take {size}, more than the {units.size(room.total)} of {room.name}"
        yield Finding(variant.severity, "too_large", variant.name, message, HINT)
    elif weights > room.free:
        message = f"its weights take {size}, and {units.size(room.free)} of {room.name} are free"
        yield Finding("warning", "memory", variant.name, message, "close other programs")
    if limit is not None and weights > limit and room.name == "memory":
        message = f"its weights take {size}, over its limit of {units.size(limit)}"
        yield Finding(
            variant.severity, "memory_limit", variant.name, message, "raise limits.memory_bytes"
        )


def check_previous_peak(variant: LoadVariant, peak: int, main: MemoryPool) -> Iterator[Finding]:
    """Compare an earlier peak in bytes with the free memory and with the user's limit."""
    limit = variant.limits.memory_bytes
    if peak > main.free:
        message = f"it used {units.size(peak)} before, and {units.size(main.free)} are free now"
        yield Finding("warning", "memory", variant.name, message, "close other programs")
    if limit is not None and peak > limit:
        message = f"it used {units.size(peak)} before, over its limit of {units.size(limit)}"
        yield Finding("warning", "memory_limit", variant.name, message, "raise limits.memory_bytes")

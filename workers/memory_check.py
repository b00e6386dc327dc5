"""Checks whether a model's weights fit in memory, before any of them is read.

The estimate is a lower bound: only the weights, in the type they will have, against all memory
that is free now. A model refused here could only have swapped, crashed or been killed; one
not refused may still run out. Imports no model library: a device's free memory is reported
by the engines' own `Device.free`. The figures for macOS were written from documentation.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.commands import Load
from schemas.shared import cgroups

from .checkpoint import Checkpoint
from .error_classes import WorkerFailure
from .safetensors_file import WIDTHS

TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
BITS = {name: WIDTHS[stored] for stored, name in TYPES.items()}
WHOLE = "model.safetensors"  # if it exists, the libraries read no other file
COPY = "consolidated"  # the makers' own form of the same weights, which no library here reads
MEMINFO = Path("/proc/meminfo")
STATM = Path("/proc/self/statm")
PAGE = os.sysconf("SC_PAGE_SIZE")
CACHED = ("active_file", "inactive_file")  # read from disk and kept only while nobody needs room


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Bytes that are free, and `where`, as the end of a sentence."""

    bytes: int
    where: str
    hint: str = "use another device for {model}"


def check_memory(
    checkpoint: Checkpoint, ask: Load, dtype: str, free: FreeMemory | None, host: bool
) -> None:
    """Raises `too_large` where weights in `dtype` can't fit into a device's `free` memory.

    `host` where they take this process's own memory, on the way or for good. With
    `allow_oversize` nothing is checked.
    """
    if ask.allow_oversize:
        return
    needed = weights_bytes(checkpoint, dtype)
    rooms = [free] if free else []
    if host:
        rooms += host_limits(ask.memory_bytes)
    for room in sorted(rooms, key=lambda room: room.bytes):
        if needed > room.bytes:
            raise WorkerFailure(
                "too_large",
                f"The weights take {needed:,} bytes in {dtype}, and {max(0, room.bytes):,} are "
                f"{room.where}",
                f"Use a smaller dtype or a smaller or quantised copy, or {room.hint}; "
                "`allow_oversize: true` tries it anyway.",
            )


def weights_bytes(checkpoint: Checkpoint, dtype: str) -> int:
    """Bytes of the weights once loaded: floats in `dtype`, all else as on disk."""
    total = 0
    for size, kind in stored_sizes(checkpoint):
        if kind in TYPES:
            size = size * BITS[dtype] // WIDTHS[kind]
        elif kind is None:  # a pickle: nobody looked inside, so the widest that is usual
            size = size * min(BITS[dtype], 32) // 32
        total += size
    return total


def own_dtype(checkpoint: Checkpoint) -> str:
    """The floating type that most of the weights have on disk."""
    sizes: Counter[str] = Counter()
    for size, kind in stored_sizes(checkpoint):
        if kind in TYPES:
            sizes[TYPES[kind]] += size
    return sizes.most_common(1)[0][0] if sizes else "float32"


def stored_sizes(checkpoint: Checkpoint) -> Iterator[tuple[int, str | None]]:
    """Bytes on disk and their type (None if unknown), only of files that will be read."""
    names = [name for name in checkpoint.weights if not name.startswith(COPY)]
    for name in [WHOLE] if WHOLE in checkpoint.weights else names:
        types = checkpoint.types.get(name)
        if types is None:
            yield checkpoint.weights[name], None
        else:
            yield from ((size, kind) for kind, size in types.items())


def host_limits(limit: int | None) -> Iterator[FreeMemory]:
    """The memory this process may still take, by each limit; `limit` is the sweep's."""
    virtual, resident = map(PAGE.__mul__, own_pages())
    yield FreeMemory(available_memory(), "free on this machine", "close other programs")
    for left in cgroup_memory_left():
        yield FreeMemory(left, "left to this container or control group", "give it more memory")
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield FreeMemory(
            soft - virtual, "left to this process (RLIMIT_AS)", "raise its limit (ulimit)"
        )
    if limit is not None:
        hint = "raise limits.memory_bytes"
        yield FreeMemory(limit - resident, "left of the sweep's memory_bytes", hint)


def own_pages() -> tuple[int, int]:
    """Pages this process has mapped and has in memory; 0 where the system does not tell."""
    try:
        mapped, resident, *_ = map(int, STATM.read_text().split())
    except OSError:
        return 0, 0
    return mapped, resident


def available_memory() -> int:
    """Bytes available without swapping; if unknown, the machine's total memory."""
    try:
        return read_key_values(MEMINFO)["MemAvailable:"] * 1024
    except (OSError, KeyError):
        return PAGE * os.sysconf("SC_PHYS_PAGES")


def cgroup_memory_left() -> Iterator[int]:
    """Bytes left under the limit of this control group and each parent (cgroup v1 and v2)."""
    files = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for folder in cgroups.folders("memory"):
        for limit, usage in files:
            try:
                # "max" means unlimited, and raises ValueError
                most = int((folder / limit).read_text())
                used = int((folder / usage).read_text())
                statistics = read_key_values(folder / "memory.stat")
            except (OSError, ValueError):
                continue
            cached = (statistics.get(f"total_{x}", statistics.get(x, 0)) for x in CACHED)
            yield most - used + sum(cached)


def read_key_values(file: Path) -> dict[str, int]:
    """A file of lines `name number`, whatever follows. Raises OSError."""
    rows = (line.split() for line in file.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}

"""Reads system counters that show interference: sleep, swapping, throttling, memory pressure.

Each figure only grows since the machine's start; it is None if the system does not count it.
`runner.supervisor.interference` takes the differences over a run. The macOS parts were written from
Apple's headers and have not been run by us.
"""

from __future__ import annotations

import ctypes
import os
import time
from functools import cache
from pathlib import Path

from schemas.shared import cgroups

from .host import LINUX, MACOS

VMSTAT = Path("/proc/vmstat")
PRESSURE = Path("/proc/pressure/memory")
PROCESSORS = Path("/sys/devices/system/cpu")
TRIES = 5
STEADY_S = 0.000_5  # two clocks read within this are read at once


def slept_s() -> float | None:
    """Seconds suspended: CLOCK_BOOTTIME minus CLOCK_MONOTONIC on Linux."""
    if LINUX:
        return clock_offset(time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC)
    if MACOS:
        awake = getattr(time, "CLOCK_UPTIME_RAW")  # noqa: B009 - mypy knows one system's clocks
        return clock_offset(time.CLOCK_MONOTONIC_RAW, awake)
    return None


def clock_offset(through: int, awake: int) -> float:
    """Difference of two clocks in seconds; repeated if the readings were interrupted."""
    found = []
    for _ in range(TRIES):
        before, other, after = map(time.clock_gettime, (awake, through, awake))
        found.append((after - before, other - (before + after) / 2))
        if after - before <= STEADY_S:
            break
    return min(found)[1]


def swapped_bytes() -> int | None:
    """Bytes the whole machine has moved to its swap and back."""
    if MACOS:
        return macos_swapped()
    pages = read_key_values(VMSTAT)
    if pages is None or "pswpin" not in pages or "pswpout" not in pages:
        return None
    return (pages["pswpin"] + pages["pswpout"]) * os.sysconf("SC_PAGE_SIZE")


def throttled_s() -> float | None:
    """Seconds our control group, or one above it, was held back for its processor quota.

    Summed over the processors. A container's quota is counted, but not a quota of a group that the
    container cannot see.
    """
    total = None
    for file in cgroups.files("cpu", "cpu.stat", "cpu.stat"):
        counts = read_key_values(file) or {}
        for name, unit in (("throttled_usec", 1e6), ("throttled_time", 1e9)):
            if name in counts:
                total = (total or 0.0) + counts[name] / unit
    return total


def thermal_throttle_count() -> int | None:
    """Number of thermal throttle events, summed over processors (Intel on Linux)."""
    found = [number for file in thermal_throttle_files() if (number := read_int(file)) is not None]
    return sum(found) if found else None


def memory_stalled_s() -> float | None:
    """Seconds in which some process of our control group (else: of the machine) waited for memory.

    The kernel's pressure stall information: for pages to come back from disk, for room.
    """
    for file in [*cgroups.files("memory", "memory.pressure"), PRESSURE]:
        try:
            line = next(x for x in file.read_text().splitlines() if x.startswith("some "))
            return int(line.rpartition("total=")[2]) / 1e6
        except (OSError, StopIteration, ValueError):
            continue
    return None


@cache
def thermal_throttle_files() -> tuple[Path, ...]:
    """Each processor's file of thermal throttle events."""
    return tuple(PROCESSORS.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))


def read_int(file: Path) -> int | None:
    """A file's one number."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def read_key_values(file: Path) -> dict[str, int] | None:
    """A file of lines `name number`; None when it cannot be read."""
    try:
        rows = [line.split() for line in file.read_text().splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 2}
    except (OSError, ValueError):
        return None


class VmStatistics64(ctypes.Structure):
    """`struct vm_statistics64` of macOS's <mach/vm_statistics.h>."""

    _fields_ = (
        ("pages", ctypes.c_uint32 * 4),  # free, active, inactive, wired
        ("faults", ctypes.c_uint64 * 9),  # zero fills, reactivations, pageins, ... purges
        ("more_pages", ctypes.c_uint32 * 2),
        ("compressor", ctypes.c_uint64 * 2),  # decompressions, compressions
        ("swapins", ctypes.c_uint64),
        ("swapouts", ctypes.c_uint64),
        ("rest", ctypes.c_uint32 * 4),
        ("uncompressed_pages", ctypes.c_uint64),
    )


HOST_VM_INFO64 = 4


def macos_swapped() -> int | None:
    """`host_statistics64`'s swapins and swapouts; psutil's figures hold mapped files too."""
    system, found = ctypes.CDLL("/usr/lib/libSystem.dylib"), VmStatistics64()
    count = ctypes.c_uint32(ctypes.sizeof(found) // 4)
    call = (HOST_VM_INFO64, ctypes.byref(found), ctypes.byref(count))
    if system.host_statistics64(macos_host(), *call) != 0:
        return None
    return int(found.swapins + found.swapouts) * os.sysconf("SC_PAGE_SIZE")


@cache
def macos_host() -> int:
    """Our one right to ask the host; every call would make another."""
    return int(ctypes.CDLL("/usr/lib/libSystem.dylib").mach_host_self())

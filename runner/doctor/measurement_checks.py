"""Checks how memory and time are measured here, and how much memory is free."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

from ..supervisor.interference import CounterSnapshot
from ..system import host
from ..text import units
from .check import Check, state_of
from .kill_checks import read_lines

INTERFERENCE_COLUMNS = {
    "slept_s": "sleep",
    "swapped_bytes": "swapping",
    "throttled_s": "a quota of processor time",
    "thermal_throttles": "slowing for heat",
    "memory_stalled_s": "waiting for memory",
}
HOARD = 64_000_000
LOW_BYTES = 1_000_000_000
PROBE_S = 20.0
# Allocates more than its limit; fails if the system enforces the limit.
OVERREACH = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
try:
    bytearray(1 << 30)
except MemoryError:
    print("held")
"""


def measurement_checks() -> Iterator[Check]:
    """Yield a check for each measurement."""
    yield check_peak_memory()
    yield check_mapped_memory()
    yield address_space()
    yield oom_counts()
    yield free_memory()
    yield swap()
    yield clock()
    yield check_interference_counters()


def check_peak_memory() -> Check:
    """Check the kernel's memory peak by allocating and freeing memory in this process."""
    hoard = b"x" * HOARD
    before = host.process_memory(os.getpid())
    del hoard
    check = "peak memory"
    if before is None or before.peak is None:
        detail = "no high-water mark: peaks are sampled every 0.25 s, and spikes missed"
        return Check("measure", check, "unavailable", detail)
    reset = host.reset_peak(os.getpid())
    after = host.process_memory(os.getpid())
    if reset and after and after.peak and after.peak < before.peak - HOARD // 2:
        detail = f"the kernel's mark ({host.peak_method()}), reset for each run: no spike is missed"
        return Check("measure", check, "ok", detail)
    detail = f"the kernel's mark ({host.peak_method()}) cannot be reset: exact for a worker's"
    return Check("measure", check, "unavailable", f"{detail} whole life, sampled for a single run")


def check_mapped_memory() -> Check:
    """Check that private memory and mapped files are counted separately."""
    now = host.process_memory(os.getpid())
    if now is None or now.anonymous is None or now.file is None:
        detail = "not separate: weights mapped from files count as a worker's memory"
        return Check("measure", "mapped files apart", "unavailable", detail)
    detail = "weights mapped from files and a worker's private memory are counted separately"
    return Check("measure", "mapped files apart", "ok", detail)


def address_space() -> Check:
    """Check RLIMIT_AS in a separate process."""
    check = "RLIMIT_AS"
    try:
        command = [sys.executable, "-I", "-S", "-c", OVERREACH]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S)
        held = done.stdout.strip() == "held"
    except (OSError, subprocess.TimeoutExpired):
        held = False
    detail = "kept" if held else "not kept"
    detail += ": a hostile image's decoder " + ("cannot" if held else "could") + " take all memory"
    return Check("measure", check, state_of(held, "unavailable"), detail)


def oom_counts() -> Check:
    """Check that kills by the kernel's OOM killer can be recognized."""
    groups = [line.split(":", 2) for line in read_lines("/proc/self/cgroup")]
    files = ["/proc/vmstat"]
    for _, controllers, path in groups:
        for folder in ("", path):
            if controllers == "memory":
                files.insert(0, f"/sys/fs/cgroup/memory{folder}/memory.oom_control")
            elif not controllers:
                files.insert(0, f"/sys/fs/cgroup{folder}/memory.events")
    for file in files:
        if any(line.startswith("oom_kill ") for line in read_lines(file)):
            whose = "this whole machine" if file == "/proc/vmstat" else "this control group"
            detail = f"kills by the kernel's OOM killer are counted for {whose}"
            return Check("measure", "kernel OOM kills", "ok", detail)
    detail = "not counted here: an OOM kill looks like a kill by another program"
    return Check("measure", "kernel OOM kills", "unavailable", detail)


def free_memory() -> Check:
    """Check free memory, within the container's limit."""
    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    detail = f"{units.size(free)} of {units.size(total)} free"
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        found = read_lines(file)
        if found and found[0].isdigit() and int(found[0]) < total:
            free = min(free, int(found[0]))
            detail += f"; this container may have {units.size(int(found[0]))}"
    if free < LOW_BYTES:
        return Check("measure", "memory", "problem", f"{detail}: too little for any model")
    return Check("measure", "memory", "ok", detail)


def swap() -> Check:
    """Check swap: its use makes measured times unreliable."""
    have = psutil.swap_memory()
    if not have.total:
        return Check("measure", "swap", "unavailable", "none: it cannot affect times")
    detail = f"{units.size(have.used)} of {units.size(have.total)} in use"
    detail += "; times measured while swapping are unreliable" if have.used else ""
    return Check("measure", "swap", "ok", detail)


def clock() -> Check:
    """Check the clock for deadlines, and whether it detects suspend."""
    info = time.get_clock_info("monotonic")
    if not info.monotonic:
        return Check("measure", "clock", "problem", "no clock that only goes forward")
    detail = "deadlines use a clock that cannot be set"
    if hasattr(time, "CLOCK_BOOTTIME"):
        slept = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        detail += f"; it stops during suspend ({max(0, slept):.0f} s so far)"
    return Check("measure", "clock", "ok", detail)


def check_interference_counters() -> Check:
    """Check which kinds of interference are recorded for each run."""
    counts = CounterSnapshot.now().counts
    available = [word for name, word in INTERFERENCE_COLUMNS.items() if counts[name] is not None]
    unavailable = [word for name, word in INTERFERENCE_COLUMNS.items() if counts[name] is None]
    detail = (
        f"recorded for each run: {', '.join(available)}" if available else "nothing is recorded"
    )
    detail += f"; not recorded here: {', '.join(unavailable)}" if unavailable else ""
    return Check("measure", "interference", state_of(bool(available), "unavailable"), detail)

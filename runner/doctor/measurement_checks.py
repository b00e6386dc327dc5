"""What can be known here of memory and time, and how much memory there is."""

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
from .kill_checks import lines

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
# Asks for more than it may have; a system that keeps the limit says no.
OVERREACH = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
try:
    bytearray(1 << 30)
except MemoryError:
    print("held")
"""


def checks() -> Iterator[Check]:
    """What is measured, and how well."""
    yield check_peak_memory()
    yield check_mapped_memory()
    yield address_space()
    yield oom_counts()
    yield free_memory()
    yield swap()
    yield clock()
    yield check_interference_counters()


def check_peak_memory() -> Check:
    """The kernel's own peak: tried on this process, with memory taken and given back."""
    hoard = b"x" * HOARD
    before = host.process_memory(os.getpid())
    del hoard
    check = "peak memory"
    if before is None or before.peak is None:
        said = "no high-water mark: peaks are sampled four times a second, and spikes missed"
        return Check("measure", check, "not here", said)
    reset = host.reset_peak(os.getpid())
    after = host.process_memory(os.getpid())
    if reset and after and after.peak and after.peak < before.peak - HOARD // 2:
        said = f"the kernel's mark ({host.peak_method()}), reset for each run: no spike is missed"
        return Check("measure", check, "in force", said)
    said = f"the kernel's mark ({host.peak_method()}) cannot be reset: exact for a worker's"
    return Check("measure", check, "not here", f"{said} whole life, sampled for a single run")


def check_mapped_memory() -> Check:
    """Memory of its own against mapped files."""
    now = host.process_memory(os.getpid())
    if now is None or now.anonymous is None or now.file is None:
        said = "not told apart: weights mapped from files count as a worker's memory"
        return Check("measure", "mapped files apart", "not here", said)
    said = "weights mapped from files are told from memory that is really a worker's own"
    return Check("measure", "mapped files apart", "in force", said)


def address_space() -> Check:
    """RLIMIT_AS, in a process of its own."""
    check = "RLIMIT_AS"
    try:
        command = [sys.executable, "-I", "-S", "-c", OVERREACH]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S)
        held = done.stdout.strip() == "held"
    except (OSError, subprocess.TimeoutExpired):
        held = False
    said = "kept" if held else "not kept"
    said += ": a hostile image's decoder " + ("cannot" if held else "could") + " take all memory"
    return Check("measure", check, state_of(held, "not here"), said)


def oom_counts() -> Check:
    """Whether kills by the kernel for want of memory can be told from others."""
    groups = [line.split(":", 2) for line in lines("/proc/self/cgroup")]
    files = ["/proc/vmstat"]
    for _, controllers, path in groups:
        for folder in ("", path):
            if controllers == "memory":
                files.insert(0, f"/sys/fs/cgroup/memory{folder}/memory.oom_control")
            elif not controllers:
                files.insert(0, f"/sys/fs/cgroup{folder}/memory.events")
    for file in files:
        if any(line.startswith("oom_kill ") for line in lines(file)):
            whose = "this whole machine" if file == "/proc/vmstat" else "our control group"
            said = f"kills by the kernel for want of memory are counted for {whose}"
            return Check("measure", "kernel OOM kills", "in force", said)
    said = "not counted here: such a kill reads as one from outside"
    return Check("measure", "kernel OOM kills", "not here", said)


def free_memory() -> Check:
    """What a model may take, with a container's own limit in mind."""
    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    said = f"{units.size(free)} of {units.size(total)} free"
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        found = lines(file)
        if found and found[0].isdigit() and int(found[0]) < total:
            free = min(free, int(found[0]))
            said += f"; this container may have {units.size(int(found[0]))}"
    if free < LOW_BYTES:
        return Check("measure", "memory", "problem", f"{said}: too little for any model")
    return Check("measure", "memory", "in force", said)


def swap() -> Check:
    """Swapping spoils figures."""
    have = psutil.swap_memory()
    if not have.total:
        return Check("measure", "swap", "not here", "none: it cannot falsify times")
    said = f"{units.size(have.used)} of {units.size(have.total)} in use"
    said += "; times taken while it is used are not the model's" if have.used else ""
    return Check("measure", "swap", "in force", said)


def clock() -> Check:
    """What deadlines are measured by, and whether sleep would be noticed."""
    info = time.get_clock_info("monotonic")
    if not info.monotonic:
        return Check("measure", "clock", "problem", "no clock that only goes forward")
    said = "deadlines go by a clock that nobody can set"
    if hasattr(time, "CLOCK_BOOTTIME"):
        slept = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        said += f"; it stands still in suspend ({max(0, slept):.0f} s so far)"
    return Check("measure", "clock", "in force", said)


def check_interference_counters() -> Check:
    """Which of the things that spoil a time are noticed, run by run."""
    counts = CounterSnapshot.now().counts
    told = [word for name, word in INTERFERENCE_COLUMNS.items() if counts[name] is not None]
    rest = [word for name, word in INTERFERENCE_COLUMNS.items() if counts[name] is None]
    said = f"noted with each run: {', '.join(told)}" if told else "nothing is told"
    said += f"; not told here: {', '.join(rest)}" if rest else ""
    return Check("measure", "what spoils a time", state_of(bool(told), "not here"), said)

"""Differences between operating systems, on the supervisor's side.

Memory figures the kernel keeps about a process, and facts about this machine. The shim's part is in
`runner.process.shim`, which must import nothing. The macOS parts were written from Apple's headers
and have not been run by us.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from schemas.shared import cgroups

LINUX = sys.platform == "linux"
MACOS = sys.platform == "darwin"


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Bytes of one process; None if the system does not report them.

    `peak` is the kernel's own high-water mark since the process started or since
    `reset_peak`, so that no spike between two samples is missed.
    """

    rss: int
    anonymous: int | None = None
    file: int | None = None
    peak: int | None = None
    swap: int | None = None


def process_memory(pid: int) -> ProcessMemory | None:
    """Memory of a process now; None when it is gone."""
    if LINUX:
        return linux_memory(pid)
    try:
        rss = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
    peak = macos_peak_footprint(pid) if MACOS else None
    return ProcessMemory(rss=rss, peak=peak)


def linux_memory(pid: int) -> ProcessMemory | None:
    """From /proc/PID/status: VmRSS, RssAnon, RssFile + RssShmem, VmHWM, VmSwap."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123 - a hot path
            status = file.read()
    except OSError:
        return None
    found: dict[bytes, int] = {}
    for line in status.splitlines():
        if line.startswith((b"Vm", b"Rss")):
            name, _, rest = line.partition(b":")
            found[name] = int(rest.split()[0]) * 1024
    if b"VmRSS" not in found:  # a zombie has no memory any more
        return None
    file_bytes = None
    if b"RssFile" in found:
        file_bytes = found[b"RssFile"] + found.get(b"RssShmem", 0)
    return ProcessMemory(
        rss=found[b"VmRSS"],
        anonymous=found.get(b"RssAnon"),
        file=file_bytes,
        peak=found.get(b"VmHWM"),
        swap=found.get(b"VmSwap"),
    )


def reset_peak(pid: int) -> bool:
    """Sets the kernel's high-water mark back to the present use, if it allows that (Linux)."""
    if not LINUX:
        return False
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def oom_kills() -> int:
    """Number of kernel OOM kills in our memory cgroup, or else on this machine (Linux).

    0 if the system does not report it.
    """
    if not LINUX:
        return 0
    for counters in [
        *memory_cgroup_files("memory.events", "memory.oom_control"),
        Path("/proc/vmstat"),
    ]:
        try:
            rows = [line.split() for line in counters.read_text().splitlines()]
        except OSError:
            continue
        for row in rows:
            if row[0] == "oom_kill":
                return int(row[1])
    return 0


def memory_cgroup_files(v2: str, v1: str) -> list[Path]:
    """Candidate paths of a file of the own memory cgroup, by its name in each version."""
    return cgroups.own_files("memory", v2, v1)


def peak_method() -> str:
    """Name of the method that measures a peak with the kernel's high-water mark."""
    if LINUX:
        return "VmHWM"
    return "phys_footprint" if MACOS else "sampled rss"


class RusageInfoV4(ctypes.Structure):
    """The required start of `struct rusage_info_v4` of macOS's <sys/resource.h>."""

    _fields_ = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        ("before", ctypes.c_uint64 * 7),  # user, system, wakeups x 2, pageins, wired, resident
        ("ri_phys_footprint", ctypes.c_uint64),
        ("between", ctypes.c_uint64 * 20),
        ("ri_lifetime_max_phys_footprint", ctypes.c_uint64),
        ("after", ctypes.c_uint64 * 16),
    )


def macos_peak_footprint(pid: int) -> int | None:
    """The kernel's lifetime maximum of a process's physical footprint (macOS)."""
    info = RusageInfoV4()
    libproc = ctypes.CDLL("/usr/lib/libproc.dylib", use_errno=True)
    if libproc.proc_pid_rusage(pid, 4, ctypes.byref(info)) != 0:
        return None
    return int(info.ri_lifetime_max_phys_footprint)


def descendants(pid: int) -> list[int]:
    """Process ids below a process; empty when it is gone."""
    if LINUX and CHILDREN.exists():
        return linux_descendants(pid)
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


# Reading it costs a hundredth of looking through all processes of the machine.
CHILDREN = Path("/proc/thread-self/children")


def linux_descendants(pid: int) -> list[int]:
    """From /proc/PID/task/TID/children: each thread has children of its own."""
    found: list[int] = []
    todo = [pid]
    while todo:
        threads = f"/proc/{todo.pop()}/task/"
        try:
            for thread in os.listdir(threads):  # noqa: PTH208 - a hot path
                with open(threads + thread + "/children", "rb") as file:  # noqa: PTH123
                    children = [int(child) for child in file.read().split()]
                found += children
                todo += children
        except OSError:
            continue
    return found


def adopt_orphans(adopt: bool) -> None:
    """Whether processes below us that lose their parent become our children (Linux)."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


PR_SET_CHILD_SUBREAPER = 36


def available_memory() -> int:
    """Bytes that processes may still take without swapping."""
    return int(psutil.virtual_memory().available)


def memory_limits() -> tuple[int, int]:
    """Bytes that the machine has, or our container or control group may take; and those free."""
    total, free = int(psutil.virtual_memory().total), available_memory()
    for file in memory_cgroup_files("memory.max", "memory.limit_in_bytes"):
        try:
            limit = int(file.read_text())  # "max" (no limit) raises ValueError
        except (OSError, ValueError):
            continue
        total = min(total, limit)
    return total, min(free, total)


def cpu_name() -> str | None:
    """The processor's name, where the system tells it."""
    if LINUX:
        try:
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        except OSError:
            return None
    return platform.processor() or None


def cores() -> int | None:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def cuda_devices() -> tuple[str, ...]:
    """NVIDIA devices that may be given out, by what CUDA_VISIBLE_DEVICES calls them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return tuple(name.strip() for name in allowed.split(",") if name.strip())
    try:
        count = len(os.listdir("/proc/driver/nvidia/gpus"))  # noqa: PTH208
    except OSError:
        count = 0
    return tuple(str(number) for number in range(count))

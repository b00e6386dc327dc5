"""Lists the NVIDIA GPUs of this machine and their memory, by running nvidia-smi."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from dataclasses import dataclass

LIMIT_S = 5.0
QUERY = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Device:
    """One NVIDIA GPU; memory in bytes."""

    name: str
    total: int
    free: int


def nvidia_devices() -> list[Device] | None:
    """Return the GPUs that CUDA would see, by index; None if nvidia-smi is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        completed = subprocess.run(
            [program, *QUERY],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        found = [device(row) for row in csv.reader(completed.stdout.splitlines()) if row]
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return visible_devices(found)


def device(row: list[str]) -> Device:
    """Parse one line of nvidia-smi's output, in MiB."""
    name, total, free = (cell.strip() for cell in row)
    return Device(name, int(total) << 20, int(free) << 20)


def visible_devices(found: list[Device]) -> list[Device]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES selects by index."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return found
    numbers = [int(word) for word in named.split(",") if word.strip().isdigit()]
    return [found[number] for number in numbers if number < len(found)]

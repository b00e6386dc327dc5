"""Supervisor limits: worker count, memory budget, devices, end time.

Pure: allocates and releases resources. Estimates come from `runner.database.estimates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.engines import is_remote

from ..database.estimates import Estimate
from ..system import host

# Memory of a model that was never run, by its weights: they and what is computed, and libraries.
OVERHEAD, LIBRARIES = 1.5, 1_000_000_000


@dataclass(frozen=True, slots=True)
class SupervisorLimits:
    """The user's limits.

    `memory_bytes` is shared by all workers; `devices` are numbers or names for
    CUDA_VISIBLE_DEVICES, one worker each. With `stay`, the supervisor waits for more jobs.
    """

    workers: int = 1
    memory_bytes: int | None = None
    devices: Sequence[str] = ()
    until: datetime | None = None
    stay: bool = False


SHARE = 0.8  # of the memory that is free, unless the user says how much


def limits_for_machine(workers: int, memory_bytes: int | None, **more: Any) -> SupervisorLimits:
    """Return limits for this machine: several workers share its free memory and devices."""
    if workers == 1:
        return SupervisorLimits(memory_bytes=memory_bytes, **more)
    if memory_bytes is None:
        memory_bytes = int(host.available_memory() * SHARE)
    return SupervisorLimits(workers, memory_bytes, host.cuda_devices(), **more)


@dataclass(frozen=True, slots=True)
class Allocation:
    """The resources of one worker: reserved bytes, and its device if several workers run.

    `named` is a device that the sweep file names: reserved, but not set by us.
    """

    memory_bytes: int | None
    device: str | None
    named: str | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment variables of the worker."""
        return {} if self.device is None else {"CUDA_VISIBLE_DEVICES": self.device}


@dataclass(slots=True)
class ResourceAllocator:
    """Allocations within the limits."""

    terms: SupervisorLimits
    granted: list[Allocation] = field(default_factory=list)

    def allocate(self, expected: Estimate, device: str, engine: str) -> Allocation | None:
        """Allocate resources for one worker, or return None. A single worker always gets them."""
        if len(self.granted) >= self.terms.workers:
            return None
        needs = memory_reservation(expected) if not is_remote(engine) else 0
        grant = Allocation(needs, self.free_device(device, engine), self.requested_device(device))
        if self.granted and not (self.fits(needs) and self.has_device(grant, device, engine)):
            return None
        self.granted.append(grant)
        return grant

    def release(self, grant: Allocation) -> None:
        """Release the resources of a worker."""
        self.granted.remove(grant)

    def fits(self, needs: int | None) -> bool:
        """Return whether the memory is free. A model without an estimate runs alone."""
        if self.terms.memory_bytes is None:
            return True
        taken = [grant.memory_bytes for grant in self.granted]
        if needs is None or None in taken:
            return False
        return sum(taken) + needs <= self.terms.memory_bytes  # type: ignore[arg-type]

    def free_device(self, device: str, engine: str) -> str | None:
        """Return a free device for a model with a choice; None if it may use all."""
        if self.terms.workers == 1 or device not in ("auto", "cuda") or is_remote(engine):
            return None
        used = {grant.device or grant.named for grant in self.granted}
        return next((name for name in self.terms.devices if name not in used), None)

    def has_device(self, grant: Allocation, device: str, engine: str) -> bool:
        """Return whether one of several workers has a separate device, if it needs one."""
        if device == "cpu" or is_remote(engine) or not self.terms.devices:
            return True
        if grant.named is not None:
            return all(grant.named not in (other.device, other.named) for other in self.granted)
        return grant.device is not None

    def requested_device(self, device: str) -> str | None:
        """Return our name of the device in a sweep file, such as cuda:1."""
        number = device.removeprefix("cuda:")
        if number == device or int(number) >= len(self.terms.devices):
            return None
        return self.terms.devices[int(number)]


def memory_reservation(expected: Estimate) -> int | None:
    """Return the bytes to reserve for a model; None without an estimate."""
    if expected.peak_rss_bytes is not None:
        return expected.peak_rss_bytes
    if expected.weights_bytes is not None:
        return int(expected.weights_bytes * OVERHEAD) + LIBRARIES
    return None

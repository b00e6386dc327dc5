"""Under which terms a supervisor works: how many workers, in how much memory, until when.

Pure: it counts what is in use and says what may begin. Figures to count with come from
`runner.database.estimates`.
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
    """What the user allows.

    `memory_bytes` is shared by all workers; `devices` are numbers or names for
    CUDA_VISIBLE_DEVICES, one worker each. With `stay`, more jobs are waited for.
    """

    workers: int = 1
    memory_bytes: int | None = None
    devices: Sequence[str] = ()
    until: datetime | None = None
    stay: bool = False


SHARE = 0.8  # of the memory that is free, unless the user says how much


def limits_for_machine(workers: int, memory_bytes: int | None, **more: Any) -> SupervisorLimits:
    """Terms for this machine: several workers share its free memory and its devices."""
    if workers == 1:
        return SupervisorLimits(memory_bytes=memory_bytes, **more)
    if memory_bytes is None:
        memory_bytes = int(host.available_memory() * SHARE)
    return SupervisorLimits(workers, memory_bytes, host.cuda_devices(), **more)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Room for one worker: the bytes set aside, and its device when several share a machine.

    `named` is a device that the sweep file names: it is nobody else's meanwhile, but not set by us.
    """

    memory_bytes: int | None
    device: str | None
    named: str | None = None

    @property
    def env(self) -> dict[str, str]:
        """What the worker must find in its environment."""
        return {} if self.device is None else {"CUDA_VISIBLE_DEVICES": self.device}


@dataclass(slots=True)
class ResourceAllocator:
    """What is in use of what the terms allow."""

    terms: SupervisorLimits
    granted: list[Allocation] = field(default_factory=list)

    def allocate(self, expected: Estimate, device: str, engine: str) -> Allocation | None:
        """Room for one more worker, or None. Alone, a worker gets it whatever it takes."""
        if len(self.granted) >= self.terms.workers:
            return None
        needs = memory_reservation(expected) if not is_remote(engine) else 0
        grant = Allocation(needs, self.free_device(device, engine), self.requested_device(device))
        if self.granted and not (self.fits(needs) and self.has_device(grant, device, engine)):
            return None
        self.granted.append(grant)
        return grant

    def release(self, grant: Allocation) -> None:
        """The worker is gone."""
        self.granted.remove(grant)

    def fits(self, needs: int | None) -> bool:
        """Whether so many bytes are left. Who knows no figure works alone."""
        if self.terms.memory_bytes is None:
            return True
        taken = [grant.memory_bytes for grant in self.granted]
        if needs is None or None in taken:
            return False
        return sum(taken) + needs <= self.terms.memory_bytes  # type: ignore[arg-type]

    def free_device(self, device: str, engine: str) -> str | None:
        """A device that no worker has, for a model that may choose; None where all may be seen."""
        if self.terms.workers == 1 or device not in ("auto", "cuda") or is_remote(engine):
            return None
        used = {grant.device or grant.named for grant in self.granted}
        return next((name for name in self.terms.devices if name not in used), None)

    def has_device(self, grant: Allocation, device: str, engine: str) -> bool:
        """Whether a worker beside others has a device of its own, if it needs one."""
        if device == "cpu" or is_remote(engine) or not self.terms.devices:
            return True
        if grant.named is not None:
            return all(grant.named not in (other.device, other.named) for other in self.granted)
        return grant.device is not None

    def requested_device(self, device: str) -> str | None:
        """The device that a sweep file names itself, cuda:1 say, as our list calls it."""
        number = device.removeprefix("cuda:")
        if number == device or int(number) >= len(self.terms.devices):
            return None
        return self.terms.devices[int(number)]


def memory_reservation(expected: Estimate) -> int | None:
    """Bytes to set aside for a model; None when nothing is known of it."""
    if expected.peak_rss_bytes is not None:
        return expected.peak_rss_bytes
    if expected.weights_bytes is not None:
        return int(expected.weights_bytes * OVERHEAD) + LIBRARIES
    return None

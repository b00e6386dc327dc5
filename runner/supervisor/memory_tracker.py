"""Samples the memory of a worker's process tree, and keeps the peaks.

Limits are checked by `runner.supervisor.deadlines`, rows are written by `runner.database.store`,
figures are read by `runner.system.host`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.rows import Runs

from ..system import host

TREE_EVERY_S = 1.0


@dataclass(slots=True)
class PeakMemory:
    """The peaks of a load or run, bytes; None without a sample.

    `interference` holds its interference figures, by column of `runs`.
    """

    rss: int | None = None
    method: str | None = None
    anonymous: int | None = None
    file: int | None = None
    swap: int | None = None
    device: int | None = None
    device_method: str | None = None
    interference: Runs = field(default_factory=Runs)

    def rss_at_least(self, value: int | None, method: str) -> None:
        """Raises the resident peak."""
        if value is not None and (self.rss is None or value > self.rss):
            self.rss, self.method = value, method

    def device_at_least(self, value: int | None, method: str | None) -> None:
        """Raises the device's peak."""
        if value is not None and (self.device is None or value > self.device):
            self.device, self.device_method = value, method


@dataclass(frozen=True, slots=True)
class MemorySample:
    """The tree at one moment, bytes."""

    rss: int
    anonymous: int | None
    file: int | None
    swap: int | None = None


class MemoryTracker:
    """The memory of one process tree: its root and all descendants.

    Daemons it made are its `guardian`'s children: all below that count, but for itself.

    A peak is the larger of two: the highest sum over the tree that was sampled, and the root's
    own high-water mark, which the kernel keeps and which misses no spike.
    """

    def __init__(self, root: int, guardian: int | None = None) -> None:
        self.root = root
        self.top = guardian or root
        self.total = PeakMemory()
        self.span = PeakMemory()
        self.children: list[int] = []
        self.looked_at = float("-inf")
        self.span_is_kernels = False

    def start_run(self) -> None:
        """Starts a run: its peak is measured from here on."""
        self.fold_kernel_peak()
        self.span = PeakMemory()
        self.span_is_kernels = host.reset_peak(self.root)

    def end_run(self, now: float) -> PeakMemory:
        """Return the peak since `start_run`."""
        self.sample(now)
        return self.span

    def sample(self, now: float) -> MemorySample | None:
        """One sample at monotonic time `now`; None when the root is gone."""
        root = host.process_memory(self.root)
        if root is None:
            return None
        if now - self.looked_at >= TREE_EVERY_S:
            below = host.descendants(self.top)
            self.children = [pid for pid in below if pid != self.root]
            self.looked_at = now
        found = [m for m in map(host.process_memory, self.children) if m is not None]
        everyone = [root, *found]
        sample = MemorySample(
            rss=sum(m.rss for m in everyone),
            anonymous=sum_if_known([m.anonymous for m in everyone]),
            file=sum_if_known([m.file for m in everyone]),
            swap=sum_if_known([m.swap for m in everyone]),
        )
        self.update_peaks(sample, root)
        return sample

    def update_peaks(self, sample: MemorySample, root: host.ProcessMemory) -> None:
        """Raises the peaks by a sample. Where both agree, the kernel's mark is named."""
        self.total.rss_at_least(root.peak, host.peak_method())
        if self.span_is_kernels:
            self.span.rss_at_least(root.peak, host.peak_method())
        for peak in (self.total, self.span):
            peak.rss_at_least(sample.rss, "sampled rss")
            peak.anonymous = max_known(peak.anonymous, sample.anonymous)
            peak.file = max_known(peak.file, sample.file)
            peak.swap = max_known(peak.swap, sample.swap)

    def fold_kernel_peak(self) -> None:
        """Keeps the kernel's mark before it is reset."""
        root = host.process_memory(self.root)
        if root is not None:
            self.update_peaks(MemorySample(root.rss, root.anonymous, root.file, root.swap), root)


def sum_if_known(values: list[int | None]) -> int | None:
    """The sum, or None when any part is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def max_known(a: int | None, b: int | None) -> int | None:
    """The larger of two figures that may be unknown."""
    return max((x for x in (a, b) if x is not None), default=None)

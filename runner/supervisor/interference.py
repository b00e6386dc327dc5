"""What a span of time had to suffer: a machine that slept, swapped, was throttled, or was short.

Such a time is no model's. Nothing is decided here: the figures go with the run, and a run during
which the machine slept says so in its notes. `runner.system.counters` reads the system's counters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..system import counters

COUNTED: dict[str, Callable[[], float | None]] = {
    "slept_s": lambda: counters.slept_s(),
    "swapped_bytes": lambda: counters.swapped_bytes(),
    "throttled_s": lambda: counters.throttled_s(),
    "thermal_throttles": lambda: counters.thermal_throttle_count(),
    "memory_stalled_s": lambda: counters.memory_stalled_s(),
}
CLOCK_NOISE_S = 0.01  # less is no sleep, but how two clocks are read
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CounterSnapshot:
    """Every counter at one moment, by the name of its column."""

    counts: dict[str, float | None]

    @classmethod
    def now(cls) -> CounterSnapshot:
        """What the system says now."""
        return cls({name: read() for name, read in COUNTED.items()})

    def until(self, later: CounterSnapshot) -> Figures:
        """What was added until `later`: None where not told, 0 where known to be none."""
        return {
            name: counter_delta(name, before, later.counts[name])
            for name, before in self.counts.items()
        }


class InterferenceTracker:
    """What a worker's load, and then each of its runs, had to suffer."""

    def __init__(self) -> None:
        self.loading: CounterSnapshot | None = CounterSnapshot.now()
        self.before: CounterSnapshot | None = None

    def begin_run(self) -> Figures:
        """A run begins, and with the first the load is over: its figures, as `end_load`'s."""
        self.before = CounterSnapshot.now()
        return self.end_load(self.before)

    def end_load(self, now: CounterSnapshot | None = None) -> Figures:
        """The load's figures, by column of `workers`; empty when they were given already."""
        before, self.loading = self.loading, None
        if before is None:
            return {}
        figures = before.until(now or CounterSnapshot.now())
        return {f"load_{name}": figure for name, figure in figures.items()}

    def end_run(self) -> Figures:
        """The run's figures, by column of `runs`; empty when none is under way."""
        before, self.before = self.before, None
        return before.until(CounterSnapshot.now()) if before else {}


def counter_delta(name: str, before: float | None, after: float | None) -> float | None:
    """One figure's growth; None when unknown, or when the count was begun anew."""
    if before is None or after is None:
        return None
    grown = after - before
    if name == "slept_s":
        return grown if grown >= CLOCK_NOISE_S else 0.0
    return grown if grown >= 0 else None


def interference_notes(slept_s: float | None, what: str) -> list[str]:
    """What a reader of the figures must not miss."""
    return [f"the machine slept for {slept_s:.0f} s amid {what}"] if slept_s else []

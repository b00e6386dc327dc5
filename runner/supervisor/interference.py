"""Measures interference during a load or run: sleep, swap, throttling, memory pressure.

The figures are stored with the run. A run during which the machine slept gets a note.
`runner.system.counters` reads the system's counters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from schemas.rows import Runs, Workers

from ..system import counters

COUNTED: dict[str, Callable[[], float | None]] = {
    "slept_s": lambda: counters.slept_s(),
    "swapped_bytes": lambda: counters.swapped_bytes(),
    "throttled_s": lambda: counters.throttled_s(),
    "thermal_throttles": lambda: counters.thermal_throttle_count(),
    "memory_stalled_s": lambda: counters.memory_stalled_s(),
}
CLOCK_NOISE_S = 0.01  # a smaller difference is clock noise


@dataclass(frozen=True, slots=True)
class CounterSnapshot:
    """All counters at one time, by column name."""

    counts: dict[str, float | None]

    @classmethod
    def now(cls) -> CounterSnapshot:
        """Read the counters."""
        return cls({name: read() for name, read in COUNTED.items()})

    def until(self, later: CounterSnapshot) -> dict[str, float | None]:
        """Return the growth until `later`: None if unknown, 0 if known to be none."""
        return {
            name: counter_delta(name, before, later.counts[name])
            for name, before in self.counts.items()
        }


class InterferenceTracker:
    """Measures a worker's load, and then each of its runs."""

    def __init__(self) -> None:
        self.loading: CounterSnapshot | None = CounterSnapshot.now()
        self.before: CounterSnapshot | None = None

    def begin_run(self) -> Workers:
        """Start a run. The first run ends the load: returns its figures, as `end_load` does."""
        self.before = CounterSnapshot.now()
        return self.end_load(self.before)

    def end_load(self, now: CounterSnapshot | None = None) -> Workers:
        """Return the load's figures, by column of `workers`; empty after the first call."""
        before, self.loading = self.loading, None
        if before is None:
            return {}
        figures = before.until(now or CounterSnapshot.now())
        return cast(Workers, {f"load_{name}": figure for name, figure in figures.items()})

    def end_run(self) -> Runs:
        """Return the run's figures, by column of `runs`; empty without a current run."""
        before, self.before = self.before, None
        return cast(Runs, before.until(CounterSnapshot.now())) if before else {}


def counter_delta(name: str, before: float | None, after: float | None) -> float | None:
    """Return a counter's growth; None if unknown, or if the counter was reset."""
    if before is None or after is None:
        return None
    grown = after - before
    if name == "slept_s":
        return grown if grown >= CLOCK_NOISE_S else 0.0
    return grown if grown >= 0 else None


def interference_notes(slept_s: float | None, what: str) -> list[str]:
    """Return notes for the reader of the figures."""
    return [f"the machine slept for {slept_s:.0f} s during {what}"] if slept_s else []

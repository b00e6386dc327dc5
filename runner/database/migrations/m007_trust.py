"""What made a time doubtful (sleep, swap, throttling, want of memory), and leave to be too large.

Over a run these stand in `runs`; over a worker's start, download and load in `workers`.
"""

from __future__ import annotations

INTERFERENCE_COLUMNS = (
    "slept_s REAL",
    "swapped_bytes INTEGER",
    "throttled_s REAL",
    "heat_throttles INTEGER",
    "memory_stalled_s REAL",
)

COLUMNS = {
    "sweep_models": ("allow_oversize INTEGER NOT NULL DEFAULT 0",),
    "workers": (*(f"load_{column}" for column in INTERFERENCE_COLUMNS), "peak_swap_bytes INTEGER"),
    "runs": (*INTERFERENCE_COLUMNS, "peak_swap_bytes INTEGER"),
}

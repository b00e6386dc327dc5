"""Estimates a model's load time, time per job and memory from its earlier runs.

Estimates serve scheduling and plans; they are never stored. A model is the same if it has
the same location; its latest loads count, since machines and versions change.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

WORKERS = 10  # the latest loads that are read
RUNS = 200  # the latest runs of those

# The latest of each model's workers, and of each worker's runs, by index: there may be millions.
LOADS = """
SELECT workers.id, load_s, peak_rss_bytes, peak_device_bytes, models.weights_bytes
FROM models JOIN workers ON workers.id IN (
    SELECT id FROM workers AS latest WHERE latest.model_id = models.id AND load_s IS NOT NULL
    ORDER BY id DESC LIMIT ?3)
WHERE models.source = ?1 AND models.location = ?2 ORDER BY workers.id DESC LIMIT ?3
"""
LATENCIES = """
SELECT latency_s FROM (SELECT latency_s, outcome FROM runs WHERE worker_id = ?
    ORDER BY id DESC LIMIT ?) WHERE outcome = 'ok' AND latency_s IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds and bytes to expect of a model; None while it was never measured.

    `load_s` and `latency_s` are means, the peaks are the highest seen.
    """

    load_s: float | None = None
    latency_s: float | None = None
    peak_rss_bytes: int | None = None
    peak_device_bytes: int | None = None
    weights_bytes: int | None = None

    def takes_s(self, jobs: int, loads: int = 1) -> float | None:
        """Seconds for this number of jobs, loads included; None when unknown."""
        if self.latency_s is None:
            return None
        return (self.load_s or 0.0) * loads + self.latency_s * jobs


def estimate(connection: sqlite3.Connection, source: str, location: str) -> Estimate:
    """Returns the estimate for the model at a location."""
    loads = connection.execute(LOADS, [source, location, WORKERS]).fetchall()
    if not loads:
        return Estimate()
    ids, load_s, rss, device, weights = zip(*loads, strict=True)
    latencies: list[float] = []
    for worker in ids:
        if len(latencies) < RUNS:
            rows = connection.execute(LATENCIES, [worker, RUNS - len(latencies)])
            latencies += [row[0] for row in rows]
    return Estimate(
        load_s=sum(load_s) / len(load_s),
        latency_s=sum(latencies) / len(latencies) if latencies else None,
        peak_rss_bytes=max_known(rss),
        peak_device_bytes=max_known(device),
        weights_bytes=max_known(weights),
    )


def max_known(values: tuple[int | None, ...]) -> int | None:
    """The highest of the values that are known."""
    return max((value for value in values if value is not None), default=None)

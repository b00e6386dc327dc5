"""The two views again, made so that a question about one sweep reads that sweep alone.

`summary` groups by the sweep too, which lets SQLite look for a sweep before it counts; `results`
joins runs both ways, so that a question about few runs can begin with them.
"""

from __future__ import annotations

from . import m002_views

RESULTS = m002_views.RESULTS.replace(
    "LEFT JOIN runs ON runs.id = jobs.latest_run_id",
    "LEFT JOIN runs ON runs.id = jobs.latest_run_id AND runs.job_id = jobs.id",
)
SUMMARY = m002_views.SUMMARY.replace(
    "sweeps.id AS sweep_id", "sweep_models.sweep_id AS sweep_id"
).replace("GROUP BY sweep_models.id", "GROUP BY sweep_models.sweep_id, sweep_models.id")

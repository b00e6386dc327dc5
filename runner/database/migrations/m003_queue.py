"""What the overnight queue knows of sweeps, models and jobs, and what was asked of it.

`rank` orders what waits; a job's `way_id` is the way to load its model that is tried next.
"""

from __future__ import annotations

COLUMNS = {
    "sweeps": (
        "in_queue INTEGER NOT NULL DEFAULT 0",
        "label TEXT",
        "priority INTEGER NOT NULL DEFAULT 0",
        "rank REAL NOT NULL DEFAULT 0",
        "paused INTEGER NOT NULL DEFAULT 0",
        "not_before TEXT",
        "after_sweep_id INTEGER REFERENCES sweeps(id)",
    ),
    "sweep_models": (
        "rank REAL NOT NULL DEFAULT 0",
        "paused INTEGER NOT NULL DEFAULT 0",
        "isolation TEXT NOT NULL DEFAULT 'worker'",
        "python TEXT",
        "requirements TEXT",
        "load_tries INTEGER NOT NULL DEFAULT 0",
        "deaths INTEGER NOT NULL DEFAULT 0",
    ),
    "jobs": (
        "rank REAL NOT NULL DEFAULT 0",
        "paused INTEGER NOT NULL DEFAULT 0",
        "way_id INTEGER REFERENCES sweep_models(id)",
    ),
    "workers": ("visible_devices TEXT",),
}

TABLES = """
CREATE TABLE requests (
    uid TEXT PRIMARY KEY,
    asked_at TEXT NOT NULL,
    action TEXT NOT NULL,
    arguments TEXT NOT NULL,
    reply TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_waiting ON jobs (ifnull(way_id, sweep_model_id), paused, rank, position)
    WHERE state = 'queued';
CREATE INDEX jobs_state ON jobs (sweep_id, state, sweep_model_id);
CREATE INDEX workers_model_id ON workers (model_id);
CREATE INDEX sweeps_open ON sweeps (state) WHERE state <> 'done'
"""

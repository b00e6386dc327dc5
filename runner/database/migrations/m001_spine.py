"""Sweeps, jobs, workers, runs and what they refer to."""

from __future__ import annotations

TABLES = """
CREATE TABLE environments (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    python TEXT NOT NULL,
    platform TEXT NOT NULL,
    machine TEXT NOT NULL,
    cpu TEXT,
    cores INTEGER,
    memory_bytes INTEGER,
    accelerator TEXT,
    packages TEXT NOT NULL
) STRICT;
CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT,
    source TEXT NOT NULL,
    spec TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'interrupted')),
    environment_id INTEGER NOT NULL REFERENCES environments(id),
    created_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT
) STRICT;
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    location TEXT NOT NULL,
    revision TEXT,
    commit_hash TEXT,
    fingerprint TEXT,
    weights_bytes INTEGER,
    files TEXT
) STRICT;
CREATE UNIQUE INDEX models_identity ON models (
    source, location, ifnull(revision, ''), ifnull(commit_hash, ''), ifnull(fingerprint, '')
);
CREATE TABLE sweep_models (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweeps(id),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    model_id INTEGER NOT NULL REFERENCES models(id),
    engine TEXT NOT NULL,
    dtype TEXT NOT NULL,
    device TEXT NOT NULL,
    trust_remote_code INTEGER NOT NULL,
    allow_pickle INTEGER NOT NULL,
    processor TEXT NOT NULL,
    url TEXT,
    api_key_env TEXT,
    generation TEXT NOT NULL,
    overrides TEXT NOT NULL,
    limits TEXT NOT NULL,
    fallback_of INTEGER REFERENCES sweep_models(id),
    UNIQUE (sweep_id, name)
) STRICT;
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('image', 'video')),
    source_sha256 TEXT,
    source_bytes INTEGER,
    format TEXT,
    mode TEXT,
    width INTEGER,
    height INTEGER,
    orientation INTEGER,
    frames INTEGER,
    duration_s REAL,
    max_frames INTEGER,
    max_side INTEGER,
    prepared_path TEXT,
    prepared_sha256 TEXT,
    prepared_width INTEGER,
    prepared_height INTEGER,
    frame_paths TEXT,
    frame_times_s TEXT,
    error_class TEXT,
    message TEXT
) STRICT;
CREATE UNIQUE INDEX images_identity ON images (
    path, ifnull(source_sha256, ''), ifnull(max_side, 0), ifnull(max_frames, 0)
);
CREATE INDEX images_source_sha256 ON images (source_sha256);
CREATE TABLE prompts (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    name TEXT,
    text TEXT NOT NULL,
    turns TEXT NOT NULL
) STRICT;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweeps(id),
    position INTEGER NOT NULL,
    sweep_model_id INTEGER NOT NULL REFERENCES sweep_models(id),
    prompt_id INTEGER NOT NULL REFERENCES prompts(id),
    repeat INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done')),
    latest_run_id INTEGER REFERENCES runs(id),
    UNIQUE (sweep_id, position)
) STRICT;
CREATE INDEX sweep_models_fallback_of ON sweep_models (fallback_of);
CREATE INDEX jobs_sweep_model_id ON jobs (sweep_model_id);
CREATE INDEX jobs_unfinished ON jobs (state, sweep_id) WHERE state <> 'done';
CREATE TABLE job_images (
    job_id INTEGER NOT NULL REFERENCES jobs(id),
    position INTEGER NOT NULL,
    image_id INTEGER NOT NULL REFERENCES images(id),
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_images_image_id ON job_images (image_id);
CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweeps(id),
    number INTEGER NOT NULL,
    sweep_model_id INTEGER NOT NULL REFERENCES sweep_models(id),
    model_id INTEGER NOT NULL REFERENCES models(id),
    environment_id INTEGER REFERENCES environments(id),
    pid INTEGER,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    phase TEXT NOT NULL,
    engine TEXT,
    family TEXT,
    model_class TEXT,
    processor_class TEXT,
    device TEXT,
    dtype TEXT,
    dtype_reason TEXT,
    attention TEXT,
    parameters INTEGER,
    notes TEXT,
    download_s REAL,
    load_s REAL,
    import_s REAL,
    weights_s REAL,
    processor_s REAL,
    exit_code INTEGER,
    exit_signal TEXT,
    killed_for TEXT,
    kill_s REAL,
    kill_asked_at TEXT,
    stack_s REAL,
    kill_signals TEXT,
    killed_processes INTEGER,
    survivors INTEGER,
    freed_bytes INTEGER,
    cpu_s REAL,
    peak_rss_bytes INTEGER,
    peak_rss_method TEXT,
    peak_anonymous_bytes INTEGER,
    peak_file_bytes INTEGER,
    peak_device_bytes INTEGER,
    peak_device_method TEXT,
    error_class TEXT,
    message TEXT,
    hint TEXT,
    stack TEXT,
    log_path TEXT NOT NULL,
    UNIQUE (sweep_id, number)
) STRICT;
CREATE INDEX workers_sweep_model_id ON workers (sweep_model_id);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs(id),
    attempt INTEGER NOT NULL,
    worker_id INTEGER REFERENCES workers(id),
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome TEXT CHECK (outcome IN ('ok', 'error', 'timeout', 'crashed', 'out_of_memory',
        'memory_limit', 'unsupported', 'interrupted', 'skipped')),
    phase TEXT,
    error_class TEXT,
    message TEXT,
    hint TEXT,
    traceback TEXT,
    latency_s REAL,
    preprocess_s REAL,
    ttft_s REAL,
    input_tokens INTEGER,
    image_tokens INTEGER,
    image_tiles INTEGER,
    output_tokens INTEGER,
    prompt_tps REAL,
    generation_tps REAL,
    finish_reason TEXT,
    raw_text TEXT,
    text TEXT,
    transcript TEXT,
    peak_rss_bytes INTEGER,
    peak_rss_method TEXT,
    peak_device_bytes INTEGER,
    peak_device_method TEXT,
    notes TEXT,
    UNIQUE (job_id, attempt)
) STRICT;
CREATE INDEX runs_worker_id ON runs (worker_id);
CREATE INDEX runs_outcome ON runs (outcome) WHERE outcome <> 'ok';
CREATE TABLE memory_samples (
    worker_id INTEGER NOT NULL REFERENCES workers(id),
    at_s REAL NOT NULL,
    phase TEXT NOT NULL,
    rss_bytes INTEGER NOT NULL,
    anonymous_bytes INTEGER,
    file_bytes INTEGER,
    device_bytes INTEGER,
    PRIMARY KEY (worker_id, at_s)
) STRICT, WITHOUT ROWID
"""

-- The tables. What every column means is said in schemas/rows, from which docs/results.md is made.
--
-- Times of day are UTC text (ISO 8601), durations seconds, sizes bytes, flags 0 or 1. Unknown is
-- NULL, never 0.

-- What a supervisor or worker ran in: never a token, never the whole environment.
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
    ended_at TEXT,
    in_queue INTEGER NOT NULL DEFAULT 0,
    label TEXT,
    priority INTEGER NOT NULL DEFAULT 0,
    rank REAL NOT NULL DEFAULT 0,
    paused INTEGER NOT NULL DEFAULT 0,
    not_before TEXT,
    after_sweep_id INTEGER REFERENCES sweeps(id),
    seed INTEGER
) STRICT;

-- A model as requested; with a fingerprint, as found on disk. NULL counts as equal in its identity:
-- see the index models_identity.
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

-- A model's part in a sweep, or one of its fallbacks (`fallback_of`). `rank` orders models, lower
-- first. `load_failures` and `worker_failures` decide on retries and quarantine, and are reset by
-- `queue retry`.
CREATE TABLE sweep_models (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweeps(id),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    model_id INTEGER NOT NULL REFERENCES models(id),
    -- schemas.load_spec.LoadSpec, every option written, keys sorted.
    load_spec TEXT NOT NULL CHECK (json_type(load_spec) = 'object'),
    -- The options that queries use, computed when read. A new option needs no column.
    engine TEXT NOT NULL GENERATED ALWAYS AS (json_extract(load_spec, '$.engine')) VIRTUAL,
    dtype TEXT NOT NULL GENERATED ALWAYS AS (json_extract(load_spec, '$.dtype')) VIRTUAL,
    device TEXT NOT NULL GENERATED ALWAYS AS (json_extract(load_spec, '$.device')) VIRTUAL,
    url TEXT GENERATED ALWAYS AS (json_extract(load_spec, '$.url')) VIRTUAL,
    generation TEXT NOT NULL,
    overrides TEXT NOT NULL,
    limits TEXT NOT NULL,
    fallback_of INTEGER REFERENCES sweep_models(id),
    rank REAL NOT NULL DEFAULT 0,
    paused INTEGER NOT NULL DEFAULT 0,
    isolation TEXT NOT NULL DEFAULT 'worker',
    python TEXT,
    requirements TEXT,
    load_failures INTEGER NOT NULL DEFAULT 0,
    away_since TEXT,
    worker_failures INTEGER NOT NULL DEFAULT 0,
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
    message TEXT,
    notes TEXT
) STRICT;

CREATE TABLE prompts (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    name TEXT,
    text TEXT NOT NULL,
    turns TEXT NOT NULL
) STRICT;

-- `fallback_id` is the fallback that is tried next; NULL is the model itself.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    sweep_id INTEGER NOT NULL REFERENCES sweeps(id),
    position INTEGER NOT NULL,
    sweep_model_id INTEGER NOT NULL REFERENCES sweep_models(id),
    prompt_id INTEGER NOT NULL REFERENCES prompts(id),
    repeat INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done')),
    latest_run_id INTEGER REFERENCES runs(id),
    rank REAL NOT NULL DEFAULT 0,
    paused INTEGER NOT NULL DEFAULT 0,
    fallback_id INTEGER REFERENCES sweep_models(id),
    UNIQUE (sweep_id, position)
) STRICT;

CREATE TABLE job_images (
    job_id INTEGER NOT NULL REFERENCES jobs(id),
    position INTEGER NOT NULL,
    image_id INTEGER NOT NULL REFERENCES images(id),
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

-- One process that held one model. The `load_` columns beside load_s cover its start, download and
-- load: what made these times doubtful (sleep, swap, throttling, memory pressure).
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
    kill_started_at TEXT,
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
    visible_devices TEXT,
    load_slept_s REAL,
    load_swapped_bytes INTEGER,
    load_throttled_s REAL,
    load_thermal_throttles INTEGER,
    load_memory_stalled_s REAL,
    peak_swap_bytes INTEGER,
    waiting_for TEXT,
    waited_s REAL,
    UNIQUE (sweep_id, number)
) STRICT;

-- One attempt at a job: always a row, also when it failed. `slept_s` to `memory_stalled_s` say what
-- made its times doubtful.
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
    slept_s REAL,
    swapped_bytes INTEGER,
    throttled_s REAL,
    thermal_throttles INTEGER,
    memory_stalled_s REAL,
    peak_swap_bytes INTEGER,
    reasoning TEXT,
    waited_s REAL,
    requeued INTEGER NOT NULL DEFAULT 0,
    seed INTEGER,
    unusable_image INTEGER NOT NULL
        GENERATED ALWAYS AS (outcome IS 'error' AND phase IS 'prepare') VIRTUAL,
    UNIQUE (job_id, attempt)
) STRICT;

CREATE TABLE memory_samples (
    worker_id INTEGER NOT NULL REFERENCES workers(id),
    at_s REAL NOT NULL,
    phase TEXT NOT NULL,
    rss_bytes INTEGER NOT NULL,
    anonymous_bytes INTEGER,
    file_bytes INTEGER,
    device_bytes INTEGER,
    PRIMARY KEY (worker_id, at_s)
) STRICT, WITHOUT ROWID;

-- One row, made with the database: what marks the processes of its workers.
CREATE TABLE database_token (token TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

INSERT INTO database_token VALUES (lower(hex(randomblob(16))));

-- A request from another terminal, stored when it was carried out: asking again is harmless.
CREATE TABLE requests (
    uid TEXT PRIMARY KEY,
    processed_at TEXT NOT NULL,
    action TEXT NOT NULL,
    arguments TEXT NOT NULL,
    reply TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE checks (
    run_id INTEGER PRIMARY KEY REFERENCES runs(id),
    empty INTEGER NOT NULL,
    cut_off INTEGER,
    repetition REAL,
    special_tokens INTEGER,
    prompt_echoed INTEGER,
    language TEXT,
    characters INTEGER NOT NULL,
    words INTEGER NOT NULL
) STRICT;

-- Accepted answers to a job. They may be replaced, so they go with the job.
CREATE TABLE reference_answers (
    job_id INTEGER PRIMARY KEY REFERENCES jobs(id) ON DELETE CASCADE,
    answers TEXT NOT NULL,
    metrics TEXT NOT NULL
) STRICT;

CREATE TABLE scores (
    run_id INTEGER NOT NULL REFERENCES runs(id),
    metric TEXT NOT NULL,
    value REAL NOT NULL,
    expected TEXT NOT NULL,
    PRIMARY KEY (run_id, metric)
) STRICT, WITHOUT ROWID;

-- The indexes beside those that UNIQUE and PRIMARY KEY make.

CREATE UNIQUE INDEX models_identity ON models (
    source, location, ifnull(revision, ''), ifnull(commit_hash, ''), ifnull(fingerprint, '')
);
CREATE UNIQUE INDEX images_identity ON images (
    path, ifnull(source_sha256, ''), ifnull(max_side, 0), ifnull(max_frames, 0)
);
CREATE INDEX images_source_sha256 ON images (source_sha256);
CREATE INDEX sweep_models_fallback_of ON sweep_models (fallback_of);
CREATE INDEX jobs_sweep_model_id ON jobs (sweep_model_id);
CREATE INDEX jobs_unfinished ON jobs (state, sweep_id) WHERE state <> 'done';
CREATE INDEX job_images_image_id ON job_images (image_id);
CREATE INDEX workers_sweep_model_id ON workers (sweep_model_id);
CREATE INDEX runs_worker_id ON runs (worker_id);
CREATE INDEX runs_outcome ON runs (outcome) WHERE outcome <> 'ok';
CREATE INDEX jobs_waiting ON jobs (ifnull(fallback_id, sweep_model_id), paused, rank, position)
    WHERE state = 'queued';
CREATE INDEX jobs_state ON jobs (sweep_id, state, sweep_model_id);
CREATE INDEX workers_model_id ON workers (model_id);
CREATE INDEX sweeps_open ON sweeps (state) WHERE state <> 'done';

"""What was seen of each text, what was expected, and how an answer scored."""

from __future__ import annotations

TABLES = """
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
CREATE TABLE answers (
    job_id INTEGER PRIMARY KEY REFERENCES jobs(id) ON DELETE CASCADE,
    accepted TEXT NOT NULL,
    metrics TEXT NOT NULL
) STRICT;
CREATE TABLE scores (
    run_id INTEGER NOT NULL REFERENCES runs(id),
    metric TEXT NOT NULL,
    value REAL NOT NULL,
    expected TEXT NOT NULL,
    PRIMARY KEY (run_id, metric)
) STRICT, WITHOUT ROWID
"""

JUDGED = """
SELECT
    ifnull(sweeps.name, sweeps.uid) AS sweep,
    sweep_models.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images
        ON images.id = job_images.image_id WHERE job_images.job_id = jobs.id) AS image,
    ifnull(prompts.name, prompts.text) AS prompt,
    jobs.repeat, runs.outcome, runs.text,
    checks.empty, checks.cut_off, checks.repetition, checks.special_tokens,
    checks.prompt_echoed, checks.language, checks.characters, checks.words,
    answers.accepted,
    (SELECT value FROM scores WHERE run_id = runs.id AND metric = 'exact') AS exact,
    (SELECT value FROM scores WHERE run_id = runs.id AND metric = 'contains') AS contains,
    (SELECT value FROM scores WHERE run_id = runs.id AND metric = 'vqa') AS vqa,
    (SELECT value FROM scores WHERE run_id = runs.id AND metric = 'anls') AS anls,
    jobs.sweep_id, jobs.id AS job_id, runs.id AS run_id
FROM jobs
JOIN sweeps ON sweeps.id = jobs.sweep_id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
LEFT JOIN runs ON runs.id = jobs.latest_run_id
LEFT JOIN checks ON checks.run_id = runs.id
LEFT JOIN answers ON answers.job_id = jobs.id
"""

# Repeats of one question are one piece of evidence, however often a greedy model is asked; the
# first of them lies at position - repeat + 1.
MODEL_SCORES = """
SELECT
    ifnull(sweeps.name, sweeps.uid) AS sweep,
    sweep_models.name AS model,
    question.metric,
    count(*) AS n,
    avg(question.value) AS mean,
    question.sweep_id,
    question.sweep_model_id
FROM (
    SELECT jobs.sweep_id, jobs.sweep_model_id, scores.metric, avg(scores.value) AS value
    FROM jobs JOIN scores ON scores.run_id = jobs.latest_run_id
    GROUP BY jobs.sweep_id, jobs.sweep_model_id, scores.metric, jobs.position - jobs.repeat
) AS question
JOIN sweep_models ON sweep_models.id = question.sweep_model_id
JOIN sweeps ON sweeps.id = question.sweep_id
GROUP BY question.sweep_id, question.sweep_model_id, question.metric
"""

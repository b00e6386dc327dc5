-- The views made for people. What their columns mean is said in schemas/rows.
--
-- They stay quick in a long history: `summary` groups by the sweep too, so that SQLite looks for a
-- sweep before it counts; `results` joins runs both ways, so that a query about few runs can begin
-- with them.

CREATE VIEW scored AS
SELECT
    ifnull(sweeps.name, sweeps.uid) AS sweep,
    sweep_models.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images
        ON images.id = job_images.image_id WHERE job_images.job_id = jobs.id) AS image,
    ifnull(prompts.name, prompts.text) AS prompt,
    jobs.repeat, runs.outcome, runs.text,
    checks.empty, checks.cut_off, checks.repetition, checks.special_tokens,
    checks.prompt_echoed, checks.language, checks.characters, checks.words,
    reference_answers.answers AS reference_answers,
    (SELECT json_group_object(metric, value) FROM scores
        WHERE run_id = runs.id HAVING count(*)) AS scores,
    jobs.sweep_id, jobs.id AS job_id, runs.id AS run_id
FROM jobs
JOIN sweeps ON sweeps.id = jobs.sweep_id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
LEFT JOIN runs ON runs.id = jobs.latest_run_id
LEFT JOIN checks ON checks.run_id = runs.id
LEFT JOIN reference_answers ON reference_answers.job_id = jobs.id;

-- Repeats of one question are one piece of evidence, however often a greedy model is asked; the
-- first of them is at position - repeat + 1.
CREATE VIEW model_scores AS
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
GROUP BY question.sweep_id, question.sweep_model_id, question.metric;

CREATE VIEW results AS
SELECT
    ifnull(sweeps.name, sweeps.uid) AS sweep,
    sweep_models.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images
        ON images.id = job_images.image_id WHERE job_images.job_id = jobs.id) AS image,
    ifnull(prompts.name, prompts.text) AS prompt,
    jobs.repeat, runs.outcome, runs.text,
    runs.latency_s, runs.ttft_s, workers.load_s, runs.preprocess_s,
    runs.input_tokens, runs.image_tokens, runs.output_tokens,
    runs.prompt_tps, runs.generation_tps, runs.finish_reason,
    runs.peak_rss_bytes, runs.peak_device_bytes,
    runs.phase, runs.error_class, runs.message, runs.hint,
    workers.engine, workers.device, workers.dtype, models.commit_hash,
    runs.raw_text, runs.attempt, runs.seed, runs.started_at,
    (SELECT group_concat(images.path, char(10)) FROM job_images JOIN images
        ON images.id = job_images.image_id WHERE job_images.job_id = jobs.id) AS image_path,
    jobs.sweep_id, jobs.id AS job_id, runs.id AS run_id, runs.worker_id
FROM jobs
JOIN sweeps ON sweeps.id = jobs.sweep_id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
LEFT JOIN runs ON runs.id = jobs.latest_run_id AND runs.job_id = jobs.id
LEFT JOIN workers ON workers.id = runs.worker_id
LEFT JOIN models ON models.id = workers.model_id;

-- A model's workers are those of its own row and of its fallbacks' rows. Memory of a worker that
-- never loaded the model is not the model's.
CREATE VIEW summary AS
SELECT
    ifnull(sweeps.name, sweeps.uid) AS sweep,
    sweep_models.name AS model,
    count(jobs.id) AS jobs,
    ifnull(sum(runs.outcome = 'ok'), 0) AS ok,
    ifnull(sum(runs.outcome NOT IN ('ok', 'skipped') AND NOT runs.unusable_image), 0) AS failed,
    ifnull(sum(runs.outcome = 'skipped'), 0) AS skipped,
    sum(jobs.id IS NOT NULL AND runs.outcome IS NULL) AS waiting,
    ifnull(sum(runs.unusable_image), 0) AS unusable_images,
    CAST(sum(runs.outcome = 'ok') AS REAL)
        / nullif(sum(runs.outcome <> 'skipped' AND NOT runs.unusable_image), 0)
        AS success_rate,
    (SELECT avg(load_s) FROM workers WHERE sweep_model_id IN (
        SELECT variant.id FROM sweep_models AS variant
        WHERE variant.id = sweep_models.id OR variant.fallback_of = sweep_models.id)) AS load_s,
    avg(CASE runs.outcome WHEN 'ok' THEN runs.latency_s END) AS latency_s,
    avg(CASE runs.outcome WHEN 'ok' THEN runs.ttft_s END) AS ttft_s,
    avg(CASE runs.outcome WHEN 'ok' THEN runs.prompt_tps END) AS prompt_tps,
    avg(CASE runs.outcome WHEN 'ok' THEN runs.generation_tps END) AS generation_tps,
    (SELECT max(peak_rss_bytes) FROM workers
        WHERE load_s IS NOT NULL AND sweep_model_id IN (
        SELECT variant.id FROM sweep_models AS variant
        WHERE variant.id = sweep_models.id OR variant.fallback_of = sweep_models.id))
        AS peak_rss_bytes,
    (SELECT max(peak_device_bytes) FROM workers
        WHERE load_s IS NOT NULL AND sweep_model_id IN (
        SELECT variant.id FROM sweep_models AS variant
        WHERE variant.id = sweep_models.id OR variant.fallback_of = sweep_models.id))
        AS peak_device_bytes,
    (SELECT engine FROM workers WHERE sweep_model_id IN (
        SELECT variant.id FROM sweep_models AS variant
        WHERE variant.id = sweep_models.id OR variant.fallback_of = sweep_models.id)
        AND engine IS NOT NULL ORDER BY id DESC LIMIT 1) AS engine,
    (SELECT device FROM workers WHERE sweep_model_id IN (
        SELECT variant.id FROM sweep_models AS variant
        WHERE variant.id = sweep_models.id OR variant.fallback_of = sweep_models.id)
        AND engine IS NOT NULL ORDER BY id DESC LIMIT 1) AS device,
    (SELECT dtype FROM workers WHERE sweep_model_id IN (
        SELECT variant.id FROM sweep_models AS variant
        WHERE variant.id = sweep_models.id OR variant.fallback_of = sweep_models.id)
        AND engine IS NOT NULL ORDER BY id DESC LIMIT 1) AS dtype,
    (SELECT failed.message FROM jobs AS j JOIN runs AS failed ON failed.id = j.latest_run_id
        WHERE j.sweep_model_id = sweep_models.id AND failed.outcome NOT IN ('ok', 'skipped')
            AND NOT failed.unusable_image
        GROUP BY failed.message ORDER BY count(*) DESC, min(failed.id) LIMIT 1) AS notes,
    sweep_models.sweep_id AS sweep_id,
    sweep_models.id AS sweep_model_id
FROM sweep_models
JOIN sweeps ON sweeps.id = sweep_models.sweep_id
LEFT JOIN jobs ON jobs.sweep_model_id = sweep_models.id
LEFT JOIN runs ON runs.id = jobs.latest_run_id
WHERE sweep_models.fallback_of IS NULL
GROUP BY sweep_models.sweep_id, sweep_models.id;

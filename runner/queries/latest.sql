-- The newest runs, including those in progress.
--
-- The newest come first. Every attempt is a row, including those that were retried later.
--
-- :limit = 20  how many
WITH newest AS (SELECT * FROM runs ORDER BY id DESC LIMIT :limit)
SELECT newest.id AS run, newest.started_at, ifnull(sweeps.name, sweeps.uid) AS sweep,
    sweep_models.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = jobs.id) AS image,
    ifnull(prompts.name, prompts.text) AS prompt,
    ifnull(newest.outcome, 'running') AS outcome, newest.latency_s,
    coalesce(newest.text, newest.message, newest.raw_text) AS text
FROM newest
CROSS JOIN jobs ON jobs.id = newest.job_id
JOIN sweeps ON sweeps.id = jobs.sweep_id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
ORDER BY newest.id DESC

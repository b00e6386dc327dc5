-- The answers that took longest, and why.
--
-- Of each job its latest run, if that ended ok, with the parts of its time.
--
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
-- :limit = 20  how many
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
)
SELECT sweep_models.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = jobs.id) AS image,
    ifnull(prompts.name, prompts.text) AS prompt,
    runs.latency_s, runs.preprocess_s, runs.ttft_s, runs.input_tokens, runs.output_tokens,
    runs.generation_tps, runs.id AS run
FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
JOIN runs ON runs.id = jobs.latest_run_id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
WHERE runs.outcome = 'ok'
ORDER BY runs.latency_s DESC, runs.id
LIMIT :limit

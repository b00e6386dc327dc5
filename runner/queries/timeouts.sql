-- Runs that timed out: phase, limit, text.
--
-- Of each job its latest run; the newest come first.
--
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
-- :limit = 50  how many
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
    runs.phase, workers.killed_for AS limit_hit, workers.kill_s, workers.survivors,
    runs.output_tokens, runs.raw_text, runs.id AS run
FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
JOIN runs ON runs.id = jobs.latest_run_id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
LEFT JOIN workers ON workers.id = runs.worker_id
WHERE runs.outcome = 'timeout'
ORDER BY runs.id DESC
LIMIT :limit

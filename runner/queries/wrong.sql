-- The answers that scored lowest.
--
-- Scored against reference answers, where the sweep has them (vlmsweep judge --answers FILE), by
-- the sweep's first metric. Of each job its latest run.
--
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
-- :max_score = 1  show scores below this, 0 to 1 (exclusive)
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
    scores.metric, scores.value AS score, scores.expected, runs.text, runs.id AS run
FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
JOIN reference_answers ON reference_answers.job_id = jobs.id
JOIN runs ON runs.id = jobs.latest_run_id
JOIN scores ON scores.run_id = runs.id
    AND scores.metric = json_extract(reference_answers.metrics, '$[0]')
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
WHERE scores.value < :max_score
ORDER BY scores.value, runs.id
LIMIT :limit

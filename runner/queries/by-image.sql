-- What each model answered about an image.
--
-- A row per job, by its latest run, in the order of images, prompts and models.
--
-- :image = '*'  a file name or path; * and ? stand for anything
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
-- :limit = 100  how many
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
), asked AS (
    -- Of one sweep: its jobs, then their images. Of all: the images, then their jobs.
    SELECT jobs.id FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
    CROSS JOIN job_images ON job_images.job_id = jobs.id
    CROSS JOIN images ON images.id = image_id
    WHERE CAST(:sweep AS TEXT) <> 'all'
        AND (lower(name) GLOB lower(:image) OR path GLOB :image)
    UNION
    SELECT job_id FROM images CROSS JOIN job_images ON image_id = images.id
    WHERE CAST(:sweep AS TEXT) = 'all'
        AND (lower(name) GLOB lower(:image) OR path GLOB :image)
)
SELECT (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = jobs.id) AS image,
    ifnull(prompts.name, prompts.text) AS prompt, sweep_models.name AS model,
    ifnull(runs.outcome, 'waiting') AS outcome,
    coalesce(runs.text, runs.message, runs.raw_text) AS text, runs.latency_s,
    runs.id AS run, ifnull(sweeps.name, sweeps.uid) AS sweep
FROM asked CROSS JOIN jobs ON jobs.id = asked.id
JOIN sweeps ON sweeps.id = jobs.sweep_id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN prompts ON prompts.id = jobs.prompt_id
LEFT JOIN runs ON runs.id = jobs.latest_run_id
ORDER BY image, jobs.prompt_id, sweep_models.position, jobs.sweep_id DESC, jobs.repeat
LIMIT :limit

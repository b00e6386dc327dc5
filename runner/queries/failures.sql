-- What failed and where, most frequent first.
--
-- A row per model and kind of failure; model is empty for images that could not be read. Only the
-- latest run of each job counts, so failures that a retry fixed are left out; so are jobs that the
-- sweep excludes. `run`, `image`, `message` and `hint` are those of the newest example.
--
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
), failed AS (
    SELECT CASE WHEN NOT runs.unusable_image THEN jobs.sweep_model_id END AS sweep_model_id,
        jobs.sweep_id, runs.outcome, runs.phase, runs.error_class, count(*) AS jobs,
        max(runs.id) AS run, runs.job_id, runs.message, runs.hint
    FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
    JOIN runs ON runs.id = jobs.latest_run_id
    WHERE runs.outcome <> 'ok' AND runs.error_class IS NOT 'excluded'
    GROUP BY 1, jobs.sweep_id, runs.outcome, runs.phase, runs.error_class
)
SELECT sweep_models.name AS model, outcome, failed.phase, failed.error_class, jobs,
    run,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = failed.job_id) AS image,
    ifnull(sweeps.name, sweeps.uid) AS sweep, failed.message, failed.hint
FROM failed
LEFT JOIN sweep_models ON sweep_models.id = failed.sweep_model_id
JOIN sweeps ON sweeps.id = failed.sweep_id
ORDER BY jobs DESC, sweep_models.id, outcome

-- How much memory each model uses.
--
-- The largest come first. Peaks are the highest of all workers that loaded it, fallbacks included;
-- NULL if none did, or if a server holds the model.
-- `out_of_memory_jobs` counts jobs whose latest run ran out of memory, the machine's or the
-- limit's.
--
-- :sweep = 'all'  a sweep's name, number or uid; latest; or all
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
), variants AS (
    SELECT sweep_models.id, ifnull(fallback_of, sweep_models.id) AS main
    FROM chosen JOIN sweep_models ON sweep_id = chosen.id
), out AS (
    SELECT jobs.sweep_model_id, count(*) AS jobs
    FROM runs CROSS JOIN jobs ON jobs.id = runs.job_id AND jobs.latest_run_id = runs.id
    WHERE runs.outcome <> 'ok' AND runs.outcome IN ('out_of_memory', 'memory_limit')
    GROUP BY jobs.sweep_model_id
), peaks AS (
    SELECT main, count(*) AS workers, max(weights_bytes) AS weights_bytes,
        max(CASE WHEN load_s IS NOT NULL THEN peak_rss_bytes END) AS rss_bytes,
        max(CASE WHEN load_s IS NOT NULL THEN peak_anonymous_bytes END) AS anonymous_bytes,
        max(CASE WHEN load_s IS NOT NULL THEN peak_file_bytes END) AS file_bytes,
        max(CASE WHEN load_s IS NOT NULL THEN peak_device_bytes END) AS device_bytes
    FROM variants JOIN workers ON sweep_model_id = variants.id
    LEFT JOIN models ON models.id = workers.model_id
    GROUP BY main
)
SELECT sweep_models.name AS model,
    max(rss_bytes) AS peak_rss_bytes, max(device_bytes) AS peak_device_bytes,
    max(anonymous_bytes) AS peak_anonymous_bytes, max(file_bytes) AS peak_file_bytes,
    max(peaks.weights_bytes) AS weights_bytes, sum(workers) AS workers,
    ifnull(sum(out.jobs), 0) AS out_of_memory_jobs
FROM peaks JOIN sweep_models ON sweep_models.id = main
LEFT JOIN out ON out.sweep_model_id = main
GROUP BY sweep_models.name
ORDER BY max(ifnull(max(rss_bytes), 0), ifnull(max(device_bytes), 0)) DESC, model

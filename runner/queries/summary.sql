-- Each model as it last ran: speed, memory.
--
-- A row per model, of the last sweep in which it ran; the quickest come first. Counts are of jobs,
-- each by its latest run; times and rates are means over those that ended ok.
--
-- :sweep = 'all'  a sweep's name, number or uid; latest; or all
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
), last AS (
    SELECT max(sweep_models.id) AS id FROM chosen JOIN sweep_models ON sweep_id = chosen.id
    WHERE fallback_of IS NULL AND EXISTS (
        SELECT 1 FROM jobs WHERE sweep_model_id = sweep_models.id AND latest_run_id IS NOT NULL)
    GROUP BY sweep_models.name
), counted AS (
    SELECT last.id, sum(runs.outcome = 'ok') AS ok,
        sum(runs.outcome NOT IN ('ok', 'skipped') AND NOT runs.unusable_image) AS failed,
        sum(runs.unusable_image) AS unusable_images,
        avg(CASE runs.outcome WHEN 'ok' THEN runs.latency_s END) AS latency_s,
        avg(CASE runs.outcome WHEN 'ok' THEN runs.generation_tps END) AS generation_tps
    FROM last CROSS JOIN jobs ON jobs.sweep_model_id = last.id
    LEFT JOIN runs ON runs.id = jobs.latest_run_id
    GROUP BY last.id
), loaded AS (
    SELECT last.id, avg(load_s) AS load_s, max(peak_rss_bytes) AS peak_rss_bytes,
        max(peak_device_bytes) AS peak_device_bytes
    FROM last CROSS JOIN sweep_models AS variants
        ON variants.id = last.id OR variants.fallback_of = last.id
    JOIN workers ON workers.sweep_model_id = variants.id AND load_s IS NOT NULL
    GROUP BY last.id
)
SELECT sweep_models.name AS model, ok, failed, unusable_images, load_s, latency_s, generation_tps,
    peak_rss_bytes, peak_device_bytes, ifnull(sweeps.name, sweeps.uid) AS sweep
FROM counted JOIN sweep_models ON sweep_models.id = counted.id
JOIN sweeps ON sweeps.id = sweep_models.sweep_id
LEFT JOIN loaded ON loaded.id = counted.id
ORDER BY latency_s IS NULL, latency_s, model

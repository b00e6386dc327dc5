-- What got worse since the previous sweep.
--
-- Newly failing, slower or using more memory. Each model is compared with the latest earlier sweep
-- in which it ran under the same name, over the latest runs of jobs with the same prompt, images
-- and repeat. Times are means over jobs that ended ok in both. `changed_packages` lists the
-- libraries whose version differs.
--
-- :sweep = 'latest'  a sweep's name, number or uid, or latest
-- :min_ratio = 1.2  how many times slower, or larger in memory, counts as worse
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
), variants AS (
    SELECT now.id AS now, max(old.id) AS old
    FROM (SELECT max(id) AS id FROM chosen) AS chosen
    JOIN sweep_models AS now ON now.sweep_id = chosen.id AND now.fallback_of IS NULL
    JOIN sweep_models AS old ON old.name = now.name AND old.sweep_id < now.sweep_id
        AND old.fallback_of IS NULL AND EXISTS (
            SELECT 1 FROM jobs WHERE sweep_model_id = old.id AND latest_run_id IS NOT NULL)
    GROUP BY now.id
), cells AS (
    SELECT jobs.sweep_model_id AS variant, jobs.prompt_id, jobs.repeat, runs.id AS run,
        (SELECT ifnull(group_concat(image_id), '') FROM job_images WHERE job_id = jobs.id)
            AS image_ids,
        runs.outcome, runs.latency_s, runs.peak_rss_bytes, runs.message
    FROM (SELECT now AS variant FROM variants UNION SELECT old FROM variants)
    CROSS JOIN jobs ON jobs.sweep_model_id = variant
    JOIN runs ON runs.id = jobs.latest_run_id
    WHERE runs.outcome NOT IN ('skipped', 'interrupted') AND NOT runs.unusable_image
), previous AS MATERIALIZED (
    SELECT variants.now, cells.* FROM variants JOIN cells ON cells.variant = variants.old
), compared AS (
    SELECT variants.now, variants.old, count(*) AS jobs,
        sum(cells.outcome <> 'ok' AND previous.outcome = 'ok') AS newly_failing,
        sum(cells.outcome = 'ok' AND previous.outcome <> 'ok') AS fixed,
        avg(CASE WHEN cells.outcome = 'ok' AND previous.outcome = 'ok' THEN previous.latency_s END)
            AS latency_before_s,
        avg(CASE WHEN cells.outcome = 'ok' AND previous.outcome = 'ok' THEN cells.latency_s END)
            AS latency_s,
        max(previous.peak_rss_bytes) AS peak_rss_before_bytes,
        max(cells.peak_rss_bytes) AS peak_rss_bytes,
        max(CASE WHEN cells.outcome <> 'ok' AND previous.outcome = 'ok' THEN cells.run END) AS run
    FROM variants JOIN cells ON cells.variant = variants.now
    JOIN previous ON previous.now = variants.now AND previous.prompt_id = cells.prompt_id
        AND previous.image_ids = cells.image_ids AND previous.repeat = cells.repeat
    GROUP BY variants.now, variants.old
), libraries AS (
    SELECT variant.id AS variant, part.key AS package, part.value AS version
    FROM sweep_models AS variant
    JOIN environments ON environments.id = (SELECT environment_id FROM workers
        WHERE sweep_model_id = variant.id AND environment_id IS NOT NULL ORDER BY id DESC LIMIT 1)
    JOIN json_each(environments.packages) AS part
    WHERE variant.id IN (SELECT now FROM variants UNION SELECT old FROM variants)
)
SELECT sweep_models.name AS model, newly_failing, fixed, jobs,
    compared.latency_s / latency_before_s AS time_ratio, latency_before_s, compared.latency_s,
    CAST(compared.peak_rss_bytes AS REAL) / peak_rss_before_bytes AS memory_ratio,
    peak_rss_before_bytes, compared.peak_rss_bytes,
    (SELECT group_concat(package || ' ' || b.version || ' > ' || a.version, ', ')
        FROM libraries AS a JOIN libraries AS b USING (package)
        WHERE a.variant = compared.now AND b.variant = compared.old
            AND a.version <> b.version) AS changed_packages,
    ifnull(earlier.name, earlier.uid) AS previous_sweep, compared.run, runs.message
FROM compared
JOIN sweep_models ON sweep_models.id = compared.now
JOIN sweep_models AS other ON other.id = compared.old
JOIN sweeps AS earlier ON earlier.id = other.sweep_id
LEFT JOIN runs ON runs.id = compared.run
WHERE newly_failing > 0 OR time_ratio > :min_ratio OR memory_ratio > :min_ratio
ORDER BY newly_failing DESC, time_ratio DESC, model

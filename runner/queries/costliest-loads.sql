-- The models whose loads take the most time.
--
-- Over all workers of a model: `loads` counts loads that succeeded, `failed` those that did not.
-- Means are over successful loads. Load times do not include downloads.
--
-- :sweep = 'all'  a sweep's name, number or uid; latest; or all
-- :limit = 20  how many
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
)
SELECT ifnull(main.name, variants.name) AS model, sum(load_s) AS total_load_s,
    count(load_s) AS loads, sum(load_s IS NULL AND ended_at IS NOT NULL) AS failed,
    avg(load_s) AS load_s, max(load_s) AS longest_load_s, avg(import_s) AS import_s,
    avg(weights_s) AS weights_s, avg(processor_s) AS processor_s,
    sum(download_s) AS total_download_s
FROM chosen CROSS JOIN workers ON workers.sweep_id = chosen.id
JOIN sweep_models AS variants ON variants.id = workers.sweep_model_id
LEFT JOIN sweep_models AS main ON main.id = variants.fallback_of
GROUP BY 1
ORDER BY ifnull(sum(load_s), 0) + ifnull(sum(download_s), 0) DESC, 1
LIMIT :limit

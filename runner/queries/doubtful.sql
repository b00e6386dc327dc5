-- Runs whose times the machine affected.
--
-- A row per run during which the machine slept, swapped, was throttled or short of memory.
-- `throttled_s` is time lost to a container's CPU quota, summed over processors;
-- `thermal_throttles` counts slow-downs for heat; `memory_stalled_s` is time spent waiting for
-- memory. An empty cell means that the machine does not report it. `vlmsweep help trust` names the
-- sources.
--
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
-- :min_share = 0.05  throttling and waiting count from this share of the run's time
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
)
SELECT sweep_models.name AS model, runs.id AS run, runs.outcome, runs.latency_s, runs.slept_s,
    runs.swapped_bytes, runs.throttled_s, runs.thermal_throttles, runs.memory_stalled_s,
    ifnull(sweeps.name, sweeps.uid) AS sweep
FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
JOIN runs ON runs.job_id = jobs.id
JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
JOIN sweeps ON sweeps.id = jobs.sweep_id
WHERE runs.slept_s > 0 OR runs.swapped_bytes > 0 OR runs.thermal_throttles > 0
    OR runs.throttled_s > :min_share * ifnull(runs.latency_s, 1)
    OR runs.memory_stalled_s > :min_share * ifnull(runs.latency_s, 1)
ORDER BY runs.slept_s DESC, runs.swapped_bytes DESC, runs.id

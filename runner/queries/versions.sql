-- Which versions were in use, and when.
--
-- Libraries, Python, system, processor and accelerator of every worker that loaded, and of the
-- supervisor; the newest of each first. `sweeps` counts those in which it was seen.
--
-- :package = '*'  only this one; * and ? stand for anything
WITH used AS (
    SELECT environment_id AS id, sweep_id, min(started_at) AS first_at, max(started_at) AS last_at
    FROM workers WHERE environment_id IS NOT NULL GROUP BY environment_id, sweep_id
    UNION ALL
    SELECT environment_id, id, created_at, created_at FROM sweeps
), parts AS (
    SELECT environments.id, part.key AS package, part.value AS version
    FROM environments, json_each(environments.packages) AS part
    UNION ALL SELECT id, 'python', python FROM environments
    UNION ALL SELECT id, 'platform', platform FROM environments
    UNION ALL SELECT id, 'cpu', cpu FROM environments WHERE cpu IS NOT NULL
    UNION ALL SELECT id, 'accelerator', accelerator FROM environments WHERE accelerator IS NOT NULL
)
SELECT package, version, count(DISTINCT sweep_id) AS sweeps, min(first_at) AS first_at,
    max(last_at) AS last_at
FROM parts JOIN used USING (id)
WHERE package GLOB :package
GROUP BY package, version
ORDER BY package, max(first_at) DESC, version DESC

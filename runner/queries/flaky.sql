-- Jobs whose runs gave different results.
--
-- The outcomes differ, or the texts do under greedy decoding. All runs of a sweep with the same
-- model variant, prompt and images are compared: repeats and retries. With sampling, texts may
-- differ and are not compared. Interrupted and skipped runs are left out, and
-- those of unusable images.
--
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
-- :limit = 50  how many
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
), attempts AS (
    SELECT ifnull(workers.sweep_model_id, jobs.sweep_model_id) AS variant,
        jobs.sweep_model_id AS model,
        jobs.prompt_id, jobs.id AS job,
        (SELECT ifnull(group_concat(image_id), '') FROM job_images WHERE job_id = jobs.id)
            AS image_ids,
        runs.id AS run, runs.outcome, CASE WHEN runs.outcome = 'ok' THEN runs.text END AS text
    FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
    JOIN runs ON runs.job_id = jobs.id
    LEFT JOIN workers ON workers.id = runs.worker_id
    WHERE runs.outcome NOT IN ('skipped', 'interrupted') AND NOT runs.unusable_image
), alike AS (
    SELECT variant, model, prompt_id, min(job) AS job, count(*) AS runs, max(run) AS run,
        sum(outcome = 'ok') AS ok, count(DISTINCT outcome) AS kinds,
        group_concat(DISTINCT outcome) AS outcomes, count(DISTINCT text) AS texts,
        min(text) AS text, nullif(max(text), min(text)) AS other_text
    FROM attempts GROUP BY variant, model, prompt_id, image_ids
    HAVING count(*) > 1
)
SELECT main.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = alike.job) AS image,
    ifnull(prompts.name, prompts.text) AS prompt, alike.runs, alike.ok, alike.outcomes, alike.texts,
    alike.text, alike.other_text, alike.run
FROM alike
JOIN sweep_models AS main ON main.id = alike.model
JOIN sweep_models AS variants ON variants.id = alike.variant
JOIN prompts ON prompts.id = alike.prompt_id
WHERE kinds > 1 OR (texts > 1 AND NOT json_extract(variants.generation, '$.do_sample'))
ORDER BY kinds DESC, texts DESC, alike.run DESC
LIMIT :limit

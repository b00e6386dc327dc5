-- Images on which the models disagree.
--
-- The most disputed come first. Compared are answers to the same prompt about the same images, of
-- each job its latest run if that ended ok. Case and punctuation at the ends do not count. Long
-- descriptions always differ, so answers longer than `max_length` are left out.
--
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
-- :max_length = 80  characters an answer may have
-- :limit = 50  how many
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
), answers AS (
    SELECT jobs.id AS job, jobs.prompt_id,
        (SELECT ifnull(group_concat(image_id), '') FROM job_images WHERE job_id = jobs.id)
            AS image_ids,
        sweep_models.name AS model, lower(trim(runs.text, ' .,:;!?"''')) AS answer
    FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
    JOIN runs ON runs.id = jobs.latest_run_id
    JOIN sweep_models ON sweep_models.id = jobs.sweep_model_id
    WHERE runs.outcome = 'ok' AND length(runs.text) <= :max_length
), distinct_answers AS (
    SELECT min(job) AS job, prompt_id, image_ids, answer, count(DISTINCT model) AS models,
        group_concat(DISTINCT model) AS names
    FROM answers GROUP BY prompt_id, image_ids, answer
    ORDER BY prompt_id, image_ids, models DESC, answer
), disputed AS (
    SELECT min(job) AS job, prompt_id, count(*) AS answers, max(models) AS largest_agreement,
        group_concat(answer || ' (' || replace(names, ',', ', ') || ')', ' / ')
            AS answers_by_model
    FROM distinct_answers GROUP BY prompt_id, image_ids HAVING count(*) > 1
)
SELECT (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = disputed.job) AS image,
    ifnull(prompts.name, prompts.text) AS prompt, answers, largest_agreement,
    answers_by_model
FROM disputed JOIN prompts ON prompts.id = disputed.prompt_id
ORDER BY answers DESC, largest_agreement, disputed.job
LIMIT :limit

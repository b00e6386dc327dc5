-- Texts that a check flagged.
--
-- Empty, repetitive, with special tokens left, with the prompt in them, or in another language than
-- most (only then `language` is shown). `cut_off` alone does not count: it depends on
-- max_new_tokens more than on the model. Of each job its latest run.
--
-- :sweep = 'latest'  a sweep's name, number or uid; latest; or all
-- :repetition = 0.5  the share of repeated characters from which a text is shown
-- :limit = 50  how many
WITH chosen AS (
    SELECT id FROM sweeps WHERE CASE CAST(:sweep AS TEXT)
        WHEN 'all' THEN 1
        WHEN 'latest' THEN id = (SELECT id FROM sweeps ORDER BY started_at IS NULL, id DESC LIMIT 1)
        ELSE id = (SELECT max(id) FROM sweeps
            WHERE CAST(:sweep AS TEXT) IN (name, uid, CAST(id AS TEXT))) END
), checked AS (
    SELECT jobs.id AS job, jobs.sweep_id, jobs.sweep_model_id, jobs.prompt_id, checks.*
    FROM chosen CROSS JOIN jobs ON jobs.sweep_id = chosen.id
    JOIN checks ON checks.run_id = jobs.latest_run_id
), spoken AS (
    SELECT language FROM checked WHERE language IS NOT NULL
    GROUP BY language ORDER BY count(*) DESC, language LIMIT 1
), odd AS (
    SELECT checked.*, CASE WHEN language IS NOT (SELECT language FROM spoken) THEN language END
        AS foreign_language
    FROM checked
)
SELECT sweep_models.name AS model,
    (SELECT group_concat(images.name, ', ') FROM job_images JOIN images ON images.id = image_id
        WHERE job_id = odd.job) AS image,
    ifnull(prompts.name, prompts.text) AS prompt,
    odd.empty, odd.cut_off, round(odd.repetition, 2) AS repetition, odd.special_tokens,
    odd.prompt_echoed, odd.foreign_language AS language, ifnull(runs.text, runs.raw_text) AS text,
    runs.id AS run
FROM odd JOIN runs ON runs.id = odd.run_id
JOIN sweep_models ON sweep_models.id = odd.sweep_model_id
JOIN prompts ON prompts.id = odd.prompt_id
WHERE odd.empty OR odd.repetition >= :repetition OR odd.special_tokens OR odd.prompt_echoed
    OR odd.foreign_language IS NOT NULL
ORDER BY odd.empty DESC, odd.repetition DESC, runs.id
LIMIT :limit

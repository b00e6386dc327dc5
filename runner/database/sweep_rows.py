"""Rows that sum up a sweep or a model of it, as commands and reports read them."""

from __future__ import annotations

from typing import TypedDict

from schemas.rows import Summary

from .score_reader import PrimaryScore

# In a long history most runs are ok: the others are counted by an index, the rest are ok.
SWEEPS = """
WITH failures AS (
    SELECT sweep_id, sum(outcome = 'skipped') AS skipped, sum(unusable_image) AS unusable_images,
        sum(outcome <> 'skipped' AND NOT unusable_image) AS failed
    FROM runs CROSS JOIN jobs ON jobs.id = runs.job_id AND jobs.latest_run_id = runs.id
    WHERE outcome <> 'ok' GROUP BY 1
), unfinished AS (
    SELECT +sweep_id AS sweep_id, count(*) AS waiting
    FROM jobs LEFT JOIN runs ON runs.id = jobs.latest_run_id
    WHERE jobs.state <> 'done' AND outcome IS NULL GROUP BY 1
), counted AS (
    SELECT id, (SELECT count(*) FROM sweep_models WHERE sweep_id = sweeps.id) AS models,
        (SELECT count(*) FROM jobs WHERE sweep_id = sweeps.id) AS jobs,
        ifnull(failed, 0) AS failed, ifnull(unusable_images, 0) AS unusable_images,
        ifnull(skipped, 0) AS skipped, ifnull(waiting, 0) AS waiting
    FROM sweeps LEFT JOIN failures ON failures.sweep_id = sweeps.id
    LEFT JOIN unfinished ON unfinished.sweep_id = sweeps.id
)
SELECT sweeps.id AS number, uid, name, state, created_at, started_at, ended_at, models, jobs,
    jobs - failed - unusable_images - skipped - waiting AS ok, failed, unusable_images, skipped,
    waiting, source
FROM sweeps JOIN counted USING (id) ORDER BY sweeps.id DESC
"""


class SweepRow(TypedDict):
    """A sweep, with its jobs counted by the outcome of their latest run."""

    number: int
    uid: str
    name: str | None
    state: str
    gone_since: str | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    models: int
    jobs: int
    ok: int
    failed: int
    unusable_images: int
    skipped: int
    waiting: int
    source: str


class SummaryRow(Summary, PrimaryScore):
    """A row of the view `summary`, with the model's score and its outcomes as text."""

    status: str

"""A side of a comparison: its jobs with their runs, and the configuration of these.

A side of a sweep holds each job's latest run. A side of a day or a version holds, of all equal
jobs in the history, the latest run that had ended by then, or ran with it. Which jobs of two
sides belong together is `runner.diff.pairing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..database.load_options import read_load_spec
from ..database.reader import Reader
from ..errors import QueryError
from .selector import SideSelector, parse_selector

Record = dict[str, Any]

# A sweep's settings of a model, without its identity; JSON objects are taken apart.
SETTINGS = ("revision", "isolation", "python", "requirements")

RUNS = """
SELECT jobs.id AS job_id, jobs.sweep_id, jobs.sweep_model_id, jobs.prompt_id, jobs.repeat,
    runs.id AS run_id, worker_id, outcome, unusable_image, phase, error_class, runs.message, text,
    latency_s, ttft_s, output_tokens, generation_tps, peak_rss_bytes, peak_rss_method,
    peak_device_bytes, peak_device_method,
    (SELECT json_group_object(metric, value) FROM scores WHERE run_id = runs.id) AS scores
FROM {source} ORDER BY jobs.sweep_id, jobs.position
"""
OF_SWEEP = RUNS.format(
    source="jobs LEFT JOIN runs ON runs.id = jobs.latest_run_id WHERE jobs.sweep_id = ?"
)
OF_RUNS = RUNS.format(
    source="runs JOIN jobs ON jobs.id = runs.job_id"
    " WHERE runs.id IN (SELECT value FROM json_each(?))"
)
# Of all equal jobs the latest run. Equal images, and equal prompts, go by their first row.
LATEST = """
SELECT runs.id AS run, max(runs.ended_at)
FROM runs JOIN jobs ON jobs.id = runs.job_id
JOIN (
    SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS same
    FROM json_each(?3)
) AS variant ON variant.id = jobs.sweep_model_id
JOIN (SELECT id, min(id) OVER (PARTITION BY turns) AS same FROM prompts) AS question
    ON question.id = jobs.prompt_id
LEFT JOIN (
    SELECT job_id, group_concat(image.same) AS shown FROM job_images
    JOIN (
        SELECT id, min(id) OVER (PARTITION BY coalesce(source_sha256, prepared_sha256, path),
            max_side, max_frames) AS same FROM images
    ) AS image ON image.id = image_id
    GROUP BY job_id
) AS asked ON asked.job_id = jobs.id
WHERE runs.outcome NOT IN ('skipped', 'interrupted') AND NOT runs.unusable_image AND {condition}
GROUP BY variant.same, question.same, asked.shown, jobs.repeat
"""
VARIANTS_SQL = """
SELECT sweep_models.*, source, location, revision FROM sweep_models
JOIN models ON models.id = model_id WHERE fallback_of IS NULL ORDER BY sweep_models.id
"""
IMAGES = """
SELECT id, name, path, coalesce(source_sha256, prepared_sha256) AS content, prepared_sha256,
    max_side, max_frames FROM images
"""


@dataclass(slots=True)
class SnapshotModel:
    """A model of a side: its identity, its settings, and the workers that loaded it."""

    name: str
    source: str
    location: str
    settings: Record
    workers: list[Record] = field(default_factory=list)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Equal for the same model with the same settings."""
        return self.source, self.location, json.dumps(self.settings, sort_keys=True)


@dataclass(slots=True)
class Snapshot:
    """One side: its name as text, its models, and a row for each of its jobs.

    A job's row has the columns of RUNS, `model` (its place in `models`), `prompt` and `turns`,
    and `images`: rows of `images`, in order. `environments` are rows by id; `supervisors`
    those of them that the sweeps ran under.
    """

    choice: SideSelector
    models: list[SnapshotModel]
    jobs: list[Record]
    environments: dict[int, Record]
    supervisors: list[Record]

    def as_dict(self) -> Record:
        """The side in figures."""
        sweeps = sorted({job["sweep_id"] for job in self.jobs})
        return {
            "selector": self.choice.text,
            "title": self.choice.title,
            "jobs": len(self.jobs),
            "sweeps": sweeps,
        }


def load_side(reader: Reader, selector: str | None) -> Snapshot:
    """The side a user means. Raises QueryError when there is none, or nothing ran in it."""
    what = parse_selector(reader, selector)
    variants = reader.records(VARIANTS_SQL)
    if what.sweep is not None:
        jobs = reader.records(OF_SWEEP, what.sweep)
        same = {variant["id"]: variant["id"] for variant in variants}
    else:
        first: dict[tuple[str, str, str], int] = {}
        same = {
            variant["id"]: first.setdefault(model(variant).identity, variant["id"])
            for variant in variants
        }
        chosen = LATEST.format(condition=what.condition)
        found = reader.records(chosen, *what.values, json.dumps([*same.items()]))
        jobs = reader.records(OF_RUNS, json.dumps([row["run"] for row in found]))
    if not jobs:
        raise QueryError(f"nothing is stored that counts as {what.text!r}: no job, no run")
    made = Snapshot(what, [], jobs, {}, [])
    add_models(made, variants, same)
    add_questions(reader, made)
    add_workers(reader, made)
    return made


def model(variant: Record) -> SnapshotModel:
    """A model as a sweep asked for it."""
    settings = {key: variant[key] for key in SETTINGS}
    settings |= read_load_spec(variant["load_spec"]).options()
    objects = {name: json.loads(variant[name]) for name in ("generation", "limits")}
    for name, values in (objects | {"processor": settings.pop("processor")}).items():
        settings |= {f"{name}.{key}": value for key, value in values.items()}
    return SnapshotModel(variant["name"], variant["source"], variant["location"], settings)


def add_models(made: Snapshot, variants: Iterable[Record], same: dict[int, int]) -> None:
    """The models that have jobs here, in the order of the sweep; a later name wins."""
    used = {job["sweep_model_id"] for job in made.jobs}
    place: dict[int, int] = {}
    for variant in variants:
        if variant["id"] not in used:
            continue
        key = same[variant["id"]]
        if key in place:
            made.models[place[key]] = model(variant)
        else:
            place[key] = len(made.models)
            made.models.append(model(variant))
    for job in made.jobs:
        job["model"] = place[same[job["sweep_model_id"]]]


def add_questions(reader: Reader, made: Snapshot) -> None:
    """Each job's prompt and images."""
    prompts = rows_by_id(
        reader, "SELECT id, name, text, turns FROM prompts", made.jobs, "prompt_id"
    )
    asked: dict[int, list[int]] = {}
    ids = json.dumps([job["job_id"] for job in made.jobs])
    for row in reader.records(
        "SELECT job_id, image_id FROM job_images"
        " WHERE job_id IN (SELECT value FROM json_each(?)) ORDER BY job_id, position",
        ids,
    ):
        asked.setdefault(row["job_id"], []).append(row["image_id"])
    used = [{"image_id": image} for images in asked.values() for image in images]
    images = rows_by_id(reader, IMAGES, used, "image_id")
    for job in made.jobs:
        prompt = prompts[job["prompt_id"]]
        job["prompt"], job["turns"] = prompt["name"] or prompt["text"], prompt["turns"]
        job["images"] = [images[image] for image in asked.get(job["job_id"], ())]


def add_workers(reader: Reader, made: Snapshot) -> None:
    """The workers that did the runs, and the environments of workers and supervisors."""
    workers = rows_by_id(
        reader,
        "SELECT workers.*, fingerprint, commit_hash, weights_bytes FROM workers"
        " JOIN models ON models.id = model_id",
        made.jobs,
        "worker_id",
        "workers.id",
    )
    for number, place in {job["worker_id"]: job["model"] for job in made.jobs}.items():
        if number is not None:
            made.models[place].workers.append(workers[number])
    sweeps = rows_by_id(reader, "SELECT id, environment_id FROM sweeps", made.jobs, "sweep_id")
    ran = [*workers.values(), *sweeps.values()]
    made.environments = rows_by_id(reader, "SELECT * FROM environments", ran, "environment_id")
    over = {sweep["environment_id"] for sweep in sweeps.values()}
    made.supervisors = [made.environments[number] for number in sorted(over)]


def rows_by_id(
    reader: Reader, sql: str, rows: Iterable[Record], key: str, id: str = "id"
) -> dict[int, Record]:
    """Rows of a table by their number: those that `key` of other rows refers to."""
    ids = json.dumps(sorted({row[key] for row in rows if row[key] is not None}))
    found = reader.records(f"{sql} WHERE {id} IN (SELECT value FROM json_each(?))", ids)  # noqa: S608
    return {row["id"]: row for row in found}

"""Stores a sweep's models, prompts, images and jobs in one transaction.

What happens to the jobs later is written by `runner.database.store`; sweeps are
expanded by `runner.planning.expand`.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from schemas.image import PreparedImage
from schemas.rows import Environments
from schemas.states import JobState, Outcome, SweepState
from schemas.sweep import Prompt

from ..planning.plan import LoadTarget, Plan, PlannedModel
from ..planning.seeds import base_seed
from ..system.timestamps import utc_now
from ..text.sanitize import display_path
from . import estimates, score_writer
from .store import Store, canonical_json


def add_sweep(
    store: Store,
    plan: Plan,
    images: Sequence[PreparedImage],
    environment: Environments,
    ranks: Mapping[int, int] | None = None,
) -> int:
    """Stores a whole sweep, jobs queued, in one transaction; returns its number.

    A default name that is taken is numbered. `ranks` orders the models, as `model_ranks` does by
    the history in the same file.
    """
    with store.db.atomic():
        now = datetime.now(UTC)
        sweep = store.insert(
            "sweeps",
            {
                "uid": f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
                "name": plan.sweep.name or free_name(store.connection, plan.default_name),
                "source": display_path(plan.source),
                "spec": canonical_json(plan.sweep.model_dump(mode="json")),
                "state": SweepState.QUEUED,
                "environment_id": store.environment(environment),
                "created_at": utc_now(),
                "seed": base_seed(plan),
            },
        )
        ranks = ranks or model_ranks(store.connection, plan)
        models = [add_model(store, sweep, entry, ranks[entry.position]) for entry in plan.entries]
        prompts = [add_prompt(store, prompt) for prompt in plan.prompts]
        image_ids = [add_image(store, p, plan.sweep.image.max_side) for p in images]
        add_jobs(store, sweep, plan, models, prompts, image_ids)
    return sweep


def free_name(connection: sqlite3.Connection, name: str | None) -> str | None:
    """Return the default name `name` or, if a sweep has it, the first free one of NAME-2, ..."""
    if name is None:
        return None
    found = connection.execute(
        "SELECT name FROM sweeps WHERE substr(name, 1, ?) = ?", [len(name), name]
    )
    taken = {row[0] for row in found}
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(free for free in itertools.chain([name], numbered) if free not in taken)


def number_default_name(store: Store, sweep: int) -> str | None:
    """Numbers a merged sweep's name if it is a default and another sweep has it; returns the name.

    A name that the sweep file gives may repeat.
    """
    name, given = store.connection.execute(
        "SELECT name, json_extract(spec, '$.name') FROM sweeps WHERE id = ?", [sweep]
    ).fetchone()
    if given is None:
        store.update("sweeps", sweep, {"name": None})  # so that its own row does not count
        name = free_name(store.connection, name)
        store.update("sweeps", sweep, {"name": name})
    return name if name is None else str(name)


def add_jobs(
    store: Store, sweep: int, plan: Plan, models: list[int], prompts: list[int], images: list[int]
) -> None:
    """The sweep's jobs with their images and accepted answers; what is excluded has ended."""
    for job in plan.jobs:
        number = store.insert(
            "jobs",
            {
                "sweep_id": sweep,
                "position": job.position,
                "sweep_model_id": models[job.entry],
                "prompt_id": prompts[job.prompt],
                "repeat": job.repeat,
                "state": JobState.QUEUED,
            },
        )
        for position, image in enumerate(job.images):
            row = {"job_id": number, "position": position, "image_id": images[image]}
            store.insert("job_images", row)
        if accepted := plan.expected.accepted.get(job.position):
            score_writer.store_reference(store.connection, number, accepted, plan.expected.metrics)
        if job.skip_reason is not None:
            outcome = {"outcome": Outcome.SKIPPED, "error_class": "excluded"}
            outcome["message"] = job.skip_reason
            store.finish_run(store.start_run(number, None), outcome)


def model_ranks(connection: sqlite3.Connection, plan: Plan) -> dict[int, int]:
    """Each entry's rank: by priority, then what is done soon, then as listed.

    Models without earlier runs come last.
    """
    jobs = Counter(job.entry for job in plan.jobs if job.skip_reason is None)

    def key(entry: PlannedModel) -> tuple[float, ...]:
        if plan.sweep.order == "listed":
            return -entry.priority, entry.position
        known = estimates.estimate(
            connection, entry.place.source, display_path(entry.place.location)
        )
        takes_s = known.takes_s(jobs[entry.position])
        return -entry.priority, float("inf") if takes_s is None else takes_s, entry.position

    return {entry.position: rank for rank, entry in enumerate(sorted(plan.entries, key=key))}


def add_model(store: Store, sweep: int, entry: PlannedModel, rank: int) -> int:
    """A model's part in a sweep, and below it those of its fallbacks."""
    first = add_load_variant(store, sweep, entry, entry.place, entry.name, rank)
    for number, place in enumerate(entry.fallbacks, start=1):
        add_load_variant(
            store, sweep, entry, place, f"{entry.name} (fallback {number})", rank, first
        )
    return first


def add_load_variant(
    store: Store,
    sweep: int,
    entry: PlannedModel,
    place: LoadTarget,
    name: str,
    rank: int,
    fallback_of: int | None = None,
) -> int:
    """One way to load a model of the sweep."""
    how = place.how
    identity = {
        "source": place.source,
        "location": display_path(place.location),
        "revision": how.revision,
        "fingerprint": None,
    }
    return store.insert(
        "sweep_models",
        {
            "sweep_id": sweep,
            "position": entry.position,
            "name": display_path(name),
            "fallback_of": fallback_of,
            "model_id": store.find_or_add("models", list(identity), identity),
            "load_spec": how.load_spec().as_json(),
            "python": place.python and display_path(place.python),
            "requirements": place.requirements and canonical_json(place.requirements),
            "generation": canonical_json(entry.generation.model_dump()),
            "overrides": canonical_json(entry.overrides),
            "limits": canonical_json(entry.limits.model_dump()),
            "rank": rank,
            "isolation": entry.isolation,
        },
    )


def add_prompt(store: Store, prompt: Prompt) -> int:
    """A prompt, once for all sweeps that ask it."""
    turns = [{"role": "user", "text": prompt.text}]
    if prompt.turns:
        turns = [turn.model_dump() for turn in prompt.turns]
    key = hashlib.sha256(canonical_json([prompt.name, turns]).encode()).hexdigest()
    row = {
        "sha256": key,
        "name": prompt.name,
        "text": prompt.question,
        "turns": canonical_json(turns),
    }
    return store.find_or_add("prompts", ["sha256"], row)


def add_image(store: Store, image: PreparedImage, max_side: int | None) -> int:
    """An image or video, once for every content it had and every way it was prepared."""
    row = asdict(image) | {"max_side": max_side}
    row["path"] = display_path(image.path)
    row["name"] = display_path(image.path.name)
    row["prepared_path"] = image.prepared_path and display_path(image.prepared_path)
    frames = [display_path(path) for path in image.frame_paths]
    row["frame_paths"] = canonical_json(frames) if frames else None
    row["frame_times_s"] = canonical_json(image.frame_times_s) if frames else None
    row["notes"] = canonical_json(image.notes) if image.notes else None
    del row["reused"], row["frame_sha256s"]
    keys = ["path", "source_sha256", "max_side", "max_frames"]
    return store.find_or_add("images", keys, row)

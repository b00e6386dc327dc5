"""The queued jobs of one sweep, or of the whole queue.

Every query goes to the database, so that changes by other terminals (pause, cancel, move) apply
from the next claim on. Claiming a job means starting a run of it (`Store.start_run`). Order: sweeps
by priority, rank and age; in a sweep models by rank, each with all its jobs, so that it is loaded
once; a fallback after the model it replaces.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.commands import Load, Turn, Video
from schemas.generation import Generation
from schemas.rows import Runs
from schemas.sweep import Limits

from ..database.load_options import read_load_spec
from ..planning.seeds import with_base_seed

VARIANTS_SQL = """
SELECT variants.id, variants.sweep_id, first.id, first.name, (SELECT min(id) FROM sweep_models
        WHERE fallback_of = first.id AND id > variants.id),
    variants.isolation, variants.python, variants.source, variants.location, variants.revision,
    variants.load_spec, variants.generation, variants.limits, sweeps.seed
FROM (SELECT sweep_models.*, source, location, revision FROM sweep_models
    JOIN models ON models.id = model_id) AS variants
JOIN sweep_models AS first ON first.id = ifnull(variants.fallback_of, variants.id)
JOIN sweeps ON sweeps.id = variants.sweep_id
"""
PAUSED = "sweeps.paused OR first.paused"
HELD_BACK = f"""
{PAUSED} OR sweeps.not_before > :now OR EXISTS (SELECT 1 FROM sweeps AS other
    WHERE other.id = sweeps.after_sweep_id AND other.state IN ('queued', 'running'))
"""
# The plus removes the affinity; the index on this expression is unused with it.
WAITING = "ifnull(fallback_id, sweep_model_id) = +variants.id AND jobs.state = 'queued'"
IN_ORDER = """
ORDER BY sweeps.priority DESC, sweeps.rank, sweeps.id, first.rank, first.position, variants.id
"""
IMAGES = """
(SELECT json_group_array(json_array(name, prepared_path, error_class, message, json(notes),
        json(frame_paths), json(frame_times_s), duration_s))
    FROM (SELECT images.* FROM job_images JOIN images ON images.id = job_images.image_id
        WHERE job_id = jobs.id ORDER BY job_images.position))
"""
JOBS = f"""
SELECT jobs.id, ifnull(prompts.name, prompts.text), repeat, turns, {IMAGES}
FROM jobs JOIN prompts ON prompts.id = jobs.prompt_id
"""


@dataclass(frozen=True, slots=True)
class QueuedModel:
    """A variant of a model that has queued jobs: `id` is the variant's row, `first` the model's.

    A fallback has the name of the model it replaces; `next_variant` is tried with the jobs that
    fail. `isolation` is worker or job, `python` the interpreter of its workers, None for our own.
    The seed in `generation` is the base seed of all repeats.
    """

    id: int
    sweep: int
    first: int
    name: str
    next_variant: int | None
    isolation: str
    python: str | None
    load: Load
    generation: Generation
    limits: Limits

    @property
    def source(self) -> str:
        """Return the model's source, as in `models.source`: server, local or hub."""
        return "server" if self.load.url else "local" if self.load.local else "hub"


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A queued job. `image` and `prompt` are display names; `broken` is the error of its image.

    `image_notes` name the metadata left out of its images.
    """

    id: int
    image: str | None
    prompt: str
    repeat: int
    turns: tuple[Turn, ...]
    broken: Runs | None
    image_notes: tuple[str, ...] = ()


class Queue:
    """The queued jobs of one sweep, or, without one, of all sweeps in the queue.

    A single sweep ignores start times and other sweeps: the user started it now.
    """

    def __init__(self, connection: sqlite3.Connection, sweep: int | None = None) -> None:
        self.connection = connection
        self.sweep = sweep
        self.scope = "sweeps.in_queue AND sweeps.state <> 'done'"
        self.held_back = HELD_BACK
        if sweep is not None:
            self.scope, self.held_back = "sweeps.id = :sweep", PAUSED

    def ready(self, now: str) -> list[QueuedModel]:
        """Return the variants with jobs that may run now (UTC text), in order."""
        rows = self.connection.execute(
            f"{VARIANTS_SQL} WHERE {self.scope} AND NOT ifnull({self.held_back}, 0) AND EXISTS"
            f" (SELECT 1 FROM jobs WHERE {WAITING} AND jobs.paused = 0) {IN_ORDER}",
            {"now": now, "sweep": self.sweep},
        )
        return [self.model(*row) for row in rows]

    def next_start_time(self, now: str) -> str | None:
        """Return when the next scheduled sweep may start; None without one."""
        (found,) = self.connection.execute(
            f"SELECT min(not_before) FROM sweeps WHERE {self.scope} AND not_before > :now",
            {"now": now, "sweep": self.sweep},
        ).fetchone()
        return None if found is None else str(found)

    def open_sweeps(self) -> list[int]:
        """Return the sweeps with unfinished jobs, paused or not."""
        rows = self.connection.execute(
            f"SELECT id FROM sweeps WHERE {self.scope} AND EXISTS (SELECT 1 FROM jobs"
            " WHERE sweep_id = sweeps.id AND jobs.state IN ('queued', 'running'))",
            {"sweep": self.sweep},
        )
        return [row[0] for row in rows]

    @staticmethod
    def model(id: int, sweep: int, first: int, name: str, *rest: Any) -> QueuedModel:
        """A row as a QueuedModel."""
        next_variant, isolation, python, source, location, revision, spec, *others = rest
        generation, limits, seed = others
        held = Limits.model_validate(json.loads(limits))
        load = Load(
            model=location,
            local=source == "local",
            revision=revision,
            memory_bytes=held.memory_bytes,
            server_wait_s=held.server_wait_s,
            **read_load_spec(spec).options(),
        )
        return QueuedModel(
            id=id,
            sweep=sweep,
            first=first,
            name=name,
            next_variant=next_variant,
            isolation=isolation,
            python=python,
            load=load,
            generation=with_base_seed(Generation(**json.loads(generation)), seed),
            limits=held,
        )

    def claim(self, variant: int, now: str) -> QueuedJob | None:
        """Return a variant's next job; None if there is none or it is paused."""
        row = self.connection.execute(
            f"{JOBS} JOIN sweep_models AS variants ON variants.id = :way JOIN sweep_models AS first"
            " ON first.id = ifnull(variants.fallback_of, variants.id)"
            " JOIN sweeps ON sweeps.id = variants.sweep_id"
            " WHERE ifnull(fallback_id, sweep_model_id) = :way AND jobs.state = 'queued'"
            f" AND jobs.paused = 0 AND NOT ifnull({self.held_back}, 0)"
            " ORDER BY jobs.rank, jobs.position LIMIT 1",
            {"way": variant, "now": now},
        ).fetchone()
        return row and self.job(*row)

    def queued_job_ids(self, variant: int) -> list[int]:
        """Return the ids of a variant's queued jobs, paused ones last."""
        rows = self.connection.execute(
            "SELECT id FROM jobs WHERE ifnull(fallback_id, sweep_model_id) = ? AND state = 'queued'"
            " ORDER BY paused, rank, position",
            [variant],
        )
        return [row[0] for row in rows]

    def queued_among(self, jobs: Sequence[int]) -> list[QueuedJob]:
        """Return those of the jobs that are still queued."""
        rows = self.connection.execute(
            f"{JOBS} WHERE jobs.id IN (SELECT value FROM json_each(?)) AND +jobs.state = 'queued'"
            " ORDER BY jobs.paused, jobs.rank, jobs.position",
            [json.dumps(jobs)],
        )
        return [self.job(*row) for row in rows]

    def count(self, variant: int) -> int:
        """Return the number of a variant's queued jobs."""
        (found,) = self.connection.execute(
            "SELECT count(*) FROM jobs WHERE ifnull(fallback_id, sweep_model_id) = ?"
            " AND state = 'queued'",
            [variant],
        ).fetchone()
        return int(found)

    def jobs_with_bad_images(self, sweep: int) -> list[tuple[QueuedModel, list[int]]]:
        """The sweep's queued jobs with an image that could not be prepared, by model."""
        models = {
            row[2]: self.model(*row)
            for row in self.connection.execute(
                f"{VARIANTS_SQL} WHERE variants.sweep_id = ? AND variants.fallback_of IS NULL",
                [sweep],
            ).fetchall()
        }
        rows = self.connection.execute(
            "SELECT sweep_model_id, id FROM jobs WHERE sweep_id = ? AND state = 'queued'"
            " AND EXISTS (SELECT 1 FROM job_images JOIN images ON images.id = image_id"
            " WHERE job_id = jobs.id AND images.error_class IS NOT NULL) ORDER BY position",
            [sweep],
        )
        found: dict[int, list[int]] = {}
        for model, job in rows:
            found.setdefault(model, []).append(job)
        return [(models[model], jobs) for model, jobs in found.items()]

    @staticmethod
    def job(id: int, prompt: str, repeat: int, turns: str, images: str) -> QueuedJob:
        """A row as a QueuedJob; the images go with the first of the user's turns."""
        found = json.loads(images)
        talk = [Turn(role=turn["role"], text=turn["text"]) for turn in json.loads(turns)]
        first = next(i for i, turn in enumerate(talk) if turn.role == "user")
        talk[first] = user_turn(talk[first].text, [row[1:2] + row[5:] for row in found if row[1]])
        errors: list[Runs] = [
            {"error_class": error, "message": f"{name} {message}"}
            for name, _, error, message, *_ in found
            if error is not None
        ]
        broken = errors[0] if errors else None
        image = ", ".join(row[0] for row in found) or None
        notes = tuple(f"image {row[0]}: {note}" for row in found for note in row[4] or ())
        return QueuedJob(id, image, prompt, repeat, tuple(talk), broken, notes)


def user_turn(text: str, media: list[list[Any]]) -> Turn:
    """Return a user turn with its images and videos (frames, times, duration)."""
    images: list[str] = []
    videos: list[Video] = []
    for path, frames, times, length in media:
        if frames is None:
            images.append(path)
        else:
            videos.append(
                Video(
                    frames=tuple(frames),
                    times_s=tuple(times),
                    duration_s=length,
                    before=len(images),
                )
            )
    return Turn(text=text, images=tuple(images), videos=tuple(videos))

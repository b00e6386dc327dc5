"""What is left to do: jobs that are queued, of one sweep or of the whole overnight queue.

Jobs are rows, and every question goes to the database, so that what other terminals changed -
paused, cancelled, moved - holds from the next claim on. Claiming a job is starting a run on it
(`Store.start_run`). The order is: sweeps by priority, rank and age; in a sweep its models by rank,
each with all its jobs at once, so that it is loaded once; a fallback after what it stands in for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.commands import Load, Turn, Video
from schemas.generation import Generation
from schemas.sweep import Limits

from ..database.load_options import read_load_spec

VARIANTS_SQL = """
SELECT variants.id, variants.sweep_id, first.id, first.name, (SELECT min(id) FROM sweep_models
        WHERE fallback_of = first.id AND id > variants.id),
    variants.isolation, variants.python, variants.source, variants.location, variants.revision,
    variants.load_spec, variants.generation, variants.limits
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
# The plus takes the number's affinity away: else the index on this expression is of no use.
WAITING = "ifnull(fallback_id, sweep_model_id) = +variants.id AND jobs.state = 'queued'"
IN_ORDER = """
ORDER BY sweeps.priority DESC, sweeps.rank, sweeps.id, first.rank, first.position, variants.id
"""
IMAGES = """
(SELECT json_group_array(json_array(name, prepared_path, error_class, message,
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
    """A way to load a model that has jobs left: `id` is the way's row, `first` the model's.

    A fallback goes by the name of the model it stands in for; `next_way` is what is tried with
    the jobs that do not end ok in this one. `isolation` is worker or job, `python` the interpreter
    its workers run in, None for our own.
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
        """Where it lies, as `models.source` has it: server, local or hub."""
        return "server" if self.load.url else "local" if self.load.local else "hub"


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that waits. `image` and `prompt` are names to show; `broken` says why it cannot run."""

    id: int
    image: str | None
    prompt: str
    repeat: int
    turns: tuple[Turn, ...]
    broken: dict[str, Any] | None


class Queue:
    """The queued jobs of one sweep, or, without one, of all that were put into the queue.

    One sweep by itself waits for no hour and for no other sweep: somebody asked for it now.
    """

    def __init__(self, connection: sqlite3.Connection, sweep: int | None = None) -> None:
        self.connection = connection
        self.sweep = sweep
        self.scope = "sweeps.in_queue AND sweeps.state <> 'done'"
        self.held_back = HELD_BACK
        if sweep is not None:
            self.scope, self.held_back = "sweeps.id = :sweep", PAUSED

    def ready(self, now: str) -> list[QueuedModel]:
        """The ways that have jobs which may be run now (UTC text), in order."""
        rows = self.connection.execute(
            f"{VARIANTS_SQL} WHERE {self.scope} AND NOT ifnull({self.held_back}, 0) AND EXISTS"
            f" (SELECT 1 FROM jobs WHERE {WAITING} AND jobs.paused = 0) {IN_ORDER}",
            {"now": now, "sweep": self.sweep},
        )
        return [self.model(*row) for row in rows]

    def next_start_time(self, now: str) -> str | None:
        """When the next sweep that is held back by the hour may begin; None when there is none."""
        (found,) = self.connection.execute(
            f"SELECT min(not_before) FROM sweeps WHERE {self.scope} AND not_before > :now",
            {"now": now, "sweep": self.sweep},
        ).fetchone()
        return None if found is None else str(found)

    def open_sweeps(self) -> list[int]:
        """The sweeps that have jobs left, held back or not."""
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
        generation, limits = others
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
            generation=Generation(**json.loads(generation)),
            limits=held,
        )

    def claim(self, variant: int, now: str) -> QueuedJob | None:
        """The job that is next in a way, unless it is held back by now."""
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
        """The numbers of all queued jobs of a way, those that are held back last."""
        rows = self.connection.execute(
            "SELECT id FROM jobs WHERE ifnull(fallback_id, sweep_model_id) = ? AND state = 'queued'"
            " ORDER BY paused, rank, position",
            [variant],
        )
        return [row[0] for row in rows]

    def queued_among(self, jobs: Sequence[int]) -> list[QueuedJob]:
        """Those of some jobs that are queued."""
        rows = self.connection.execute(
            f"{JOBS} WHERE jobs.id IN (SELECT value FROM json_each(?)) AND +jobs.state = 'queued'"
            " ORDER BY jobs.paused, jobs.rank, jobs.position",
            [json.dumps(jobs)],
        )
        return [self.job(*row) for row in rows]

    def count(self, variant: int) -> int:
        """How many jobs of a way are queued."""
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
        talk[first] = user_turn(talk[first].text, [row[1:2] + row[4:] for row in found if row[1]])
        broken = next(
            (
                {"error_class": error, "message": f"{name} {message}"}
                for name, _, error, message, *_ in found
                if error is not None
            ),
            None,
        )
        image = ", ".join(row[0] for row in found) or None
        return QueuedJob(id, image, prompt, repeat, tuple(talk), broken)


def user_turn(text: str, media: list[list[Any]]) -> Turn:
    """A user's turn with its images and videos: path, and a video's frames, times, length."""
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

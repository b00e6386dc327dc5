"""What is left to do: the jobs of a sweep that are queued, grouped by model.

The order is the sweep file's, a model at a time, so that each model is loaded once. Jobs are
rows; claiming one is starting a run on it (`Store.start_run`).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from schemas.commands import Load, Turn, Video
from schemas.generation import Generation
from schemas.sweep import Limits

MODELS = """
SELECT ways.id, ifnull(first.name, ways.name), source, location, revision, ways.engine, ways.dtype,
    ways.device, ways.trust_remote_code, ways.allow_pickle, ways.processor, ways.url,
    ways.api_key_env, ways.allow_oversize, ways.generation, ways.limits, ways.python
FROM sweep_models AS ways JOIN models ON models.id = ways.model_id
LEFT JOIN sweep_models AS first ON first.id = ways.fallback_of
"""
IN_ORDER = "ORDER BY ways.position, ways.id"


@dataclass(frozen=True, slots=True)
class QueuedModel:
    """A model of the sweep that has jobs left, and how it is to be loaded.

    A fallback goes by the name of the model it stands in for. `python` is the interpreter its
    workers run in, None for our own.
    """

    id: int
    name: str
    load: Load
    generation: Generation
    limits: Limits
    python: str | None = None


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
    """The queued jobs of one sweep."""

    def __init__(self, connection: sqlite3.Connection, sweep: int) -> None:
        self.connection = connection
        self.sweep = sweep

    def models(self) -> list[QueuedModel]:
        """The models that have queued jobs, in the sweep's order."""
        return self.select(
            "ways.sweep_id = ? AND EXISTS (SELECT 1 FROM jobs"
            " WHERE sweep_model_id = ways.id AND state = 'queued')",
            self.sweep,
        )

    def fallbacks(self, model: int) -> list[QueuedModel]:
        """What is tried with the jobs of a model that did not end ok, in order."""
        return self.select("ways.fallback_of = ?", model)

    def select(self, condition: str, value: int) -> list[QueuedModel]:
        """The models that fulfil a condition."""
        rows = self.connection.execute(f"{MODELS} WHERE {condition} {IN_ORDER}", [value])
        return [self.model(*row) for row in rows]

    @staticmethod
    def model(id: int, name: str, source: str, location: str, *rest: Any) -> QueuedModel:
        """A row as a QueuedModel."""
        revision, engine, dtype, device, trust, pickle, processor, *others = rest
        url, api_key_env, oversize, generation, limits, python = others
        held = Limits.model_validate(json.loads(limits))
        load = Load(
            model=location,
            local=source == "local",
            revision=revision,
            engine=engine,
            dtype=dtype,
            device=device,
            trust_remote_code=bool(trust),
            allow_pickle=bool(pickle),
            allow_oversize=bool(oversize),
            memory_bytes=held.memory_bytes,
            processor=json.loads(processor),
            url=url,
            api_key_env=api_key_env,
        )
        return QueuedModel(
            id=id,
            name=name,
            load=load,
            generation=Generation(**json.loads(generation)),
            limits=held,
            python=python,
        )

    def jobs(self, model: int) -> list[QueuedJob]:
        """The queued jobs of a model, in the sweep's order."""
        rows = self.connection.execute(
            """
            SELECT jobs.id, ifnull(prompts.name, prompts.text), repeat, turns,
                (SELECT json_group_array(json_array(name, prepared_path, error_class, message,
                        json(frame_paths), json(frame_times_s), duration_s))
                    FROM (SELECT images.* FROM job_images
                        JOIN images ON images.id = job_images.image_id
                        WHERE job_id = jobs.id ORDER BY job_images.position))
            FROM jobs JOIN prompts ON prompts.id = jobs.prompt_id
            WHERE sweep_model_id = ? AND state = 'queued' ORDER BY jobs.position
            """,
            [model],
        )
        return [self.job(*row) for row in rows]

    @staticmethod
    def job(id: int, prompt: str, repeat: int, turns: str, pictures: str) -> QueuedJob:
        """A row as a QueuedJob; the pictures go with the first of the user's turns."""
        found = json.loads(pictures)
        talk = [Turn(role=turn["role"], text=turn["text"]) for turn in json.loads(turns)]
        first = next(i for i, turn in enumerate(talk) if turn.role == "user")
        talk[first] = showing(talk[first].text, [row[1:2] + row[4:] for row in found if row[1]])
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


def showing(text: str, media: list[list[Any]]) -> Turn:
    """A user's turn with its pictures and videos: path, and a video's frames, times, length."""
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

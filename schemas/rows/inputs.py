"""Requested work: sweeps, their models, images, prompts and jobs."""

from __future__ import annotations

from typing import Annotated, TypedDict


class Sweeps(TypedDict, total=False):
    """One sweep: models x images x prompts x settings, as requested."""

    id: Annotated[int, "Number of the row."]
    uid: Annotated[str, "Name that is unique over all machines; sorts by time."]
    name: Annotated[
        str | None,
        "Name given in the sweep file; otherwise that of the file or 'run', numbered if it was"
        " taken. NULL in older sweeps without a name.",
    ]
    source: Annotated[str, "The sweep file's path, or 'command line' or 'demo'."]
    spec: Annotated[str, "JSON: the sweep as it was validated, defaults filled in."]
    state: Annotated[str, "queued, running, done or interrupted."]
    environment_id: Annotated[int, "The supervisor's environment."]
    created_at: Annotated[str, "When it was stored."]
    started_at: Annotated[str | None, "When its first worker was started. NULL before."]
    ended_at: Annotated[str | None, "When its last job ended. NULL before."]
    in_queue: Annotated[int, "1 when it waits for vlmsweep start, 0 when it was run by itself."]
    label: Annotated[str | None, "A word to group sweeps by in the queue. NULL when none."]
    priority: Annotated[int, "Higher goes first in the queue; 0 by default."]
    rank: Annotated[float, "Order among sweeps of equal priority, lower first; 0 as added."]
    paused: Annotated[int, "1 while its jobs are held back, else 0."]
    not_before: Annotated[str | None, "When it may begin. NULL when at any time."]
    after_sweep_id: Annotated[int | None, "Sweep that has to end before. NULL when none."]
    seed: Annotated[
        int | None,
        "Base seed: generation.seed, or a random one that was drawn because a model samples without"
        " a seed of its own. NULL when no model needs one.",
    ]


class SweepModels(TypedDict, total=False):
    """A model's part in one sweep: its name there and the settings it ran with."""

    id: Annotated[int, "Number of the row."]
    sweep_id: Annotated[int, "The sweep."]
    position: Annotated[int, "Place of the model in the sweep's list, from 0."]
    name: Annotated[str, "Name shown, unique in the sweep."]
    model_id: Annotated[int, "The requested model."]
    load_spec: Annotated[
        str, "JSON object: all load options; engine, dtype, device and url are taken from it."
    ]
    engine: Annotated[str, "Engine asked for: auto, transformers, mlx or openai."]
    dtype: Annotated[str, "Number type asked for, or auto."]
    device: Annotated[str, "Device asked for, or auto."]
    url: Annotated[str | None, "Address of the server. NULL but for engine openai."]
    generation: Annotated[str, "JSON object: the effective generation settings."]
    overrides: Annotated[str, "JSON list: those of them that differ from the sweep's."]
    limits: Annotated[str, "JSON object: the effective limits."]
    fallback_of: Annotated[
        int | None, "The row this one is tried after. NULL for a model of the sweep itself."
    ]
    rank: Annotated[float, "Order in which the sweep's models are run, lower first."]
    paused: Annotated[int, "1 while its jobs are held back, else 0."]
    isolation: Annotated[str, "worker: one process for many jobs; job: a fresh one for each."]
    python: Annotated[
        str | None,
        "Interpreter its workers run in; `imported:` and one elsewhere. NULL for vlmsweep's own.",
    ]
    requirements: Annotated[
        str | None, "JSON list: packages its environment was made of. NULL when none were named."
    ]
    load_failures: Annotated[int, "Loads that failed with a retryable error."]
    away_since: Annotated[
        str | None,
        "When its server was first found unable to answer. NULL while it answers, and without one.",
    ]
    worker_failures: Annotated[int, "Workers it lost in a row, without an answer in between."]


class Models(TypedDict, total=False):
    """A model as requested or, in rows with a fingerprint, as found on disk."""

    id: Annotated[int, "Number of the row."]
    source: Annotated[str, "hub, local for a folder, or server."]
    location: Annotated[str, "Hub id, absolute path of the folder, or name at the server."]
    revision: Annotated[str | None, "Branch, tag or commit asked for. NULL when none was."]
    commit_hash: Annotated[
        str | None, "Commit the hub resolved it to. NULL for folders and before the first load."
    ]
    fingerprint: Annotated[
        str | None, "Hash of the names and sizes of its files. NULL before the first load."
    ]
    weights_bytes: Annotated[int | None, "Size of the weight files. NULL before the first load."]
    files: Annotated[str | None, "JSON object: file to size. NULL before the first load."]


class Images(TypedDict, total=False):
    """An image or video as it was found and as every engine got it."""

    id: Annotated[int, "Number of the row."]
    path: Annotated[str, "Absolute path it was read from (undecodable bytes as \\xNN)."]
    name: Annotated[str, "File name."]
    kind: Annotated[str, "image, or video by its file name."]
    source_sha256: Annotated[str | None, "Hash of the file's bytes. NULL when unreadable."]
    source_bytes: Annotated[int | None, "Size of the file. NULL when unreadable."]
    format: Annotated[str | None, "Format as decoded, such as JPEG. NULL when undecodable."]
    mode: Annotated[str | None, "Its pixels' mode, such as RGBA or yuv420p. NULL when undecodable."]
    width: Annotated[int | None, "Stored width in pixels. NULL when undecodable."]
    height: Annotated[int | None, "Stored height in pixels. NULL when undecodable."]
    orientation: Annotated[
        int | None,
        "EXIF orientation, 1 to 8; of a video the same turn. NULL when the file has none.",
    ]
    frames: Annotated[
        int | None,
        "Frames in the file; of an image the first is used. NULL when undecodable.",
    ]
    duration_s: Annotated[
        float | None, "A video's length by its frames. NULL for images and when undecodable."
    ]
    max_frames: Annotated[int | None, "Frames of the video asked for. NULL for images."]
    max_side: Annotated[int | None, "Longest side asked for, pixels. NULL for no limit."]
    prepared_path: Annotated[
        str | None, "The upright RGB PNG; a video's first. NULL when it could not be made."
    ]
    prepared_sha256: Annotated[str | None, "Hash of its pixels and size. NULL when not made."]
    prepared_width: Annotated[int | None, "Its width in pixels. NULL when not made."]
    prepared_height: Annotated[int | None, "Its height in pixels. NULL when not made."]
    frame_paths: Annotated[
        str | None,
        "JSON list: the video's frames, each an upright RGB PNG. NULL when there are none.",
    ]
    frame_times_s: Annotated[
        str | None, "JSON list: seconds from the video's start to each. NULL with them."
    ]
    error_class: Annotated[
        str | None, "Class of the preparation failure. NULL when it was prepared."
    ]
    message: Annotated[str | None, "Text of the preparation failure. NULL when it was prepared."]
    notes: Annotated[
        str | None, "JSON list: damaged metadata that was left out. NULL when there is none."
    ]


class Prompts(TypedDict, total=False):
    """A question or conversation."""

    id: Annotated[int, "Number of the row."]
    sha256: Annotated[str, "Hash of name and turns; equal prompts are one row."]
    name: Annotated[str | None, "Name given in the sweep file. NULL when none was given."]
    text: Annotated[str, "The user's turns, a line each."]
    turns: Annotated[str, "JSON list of {role, text}."]


class Jobs(TypedDict, total=False):
    """One cell of a sweep: what is queued."""

    id: Annotated[int, "Number of the row."]
    sweep_id: Annotated[int, "The sweep."]
    position: Annotated[int, "Place in the sweep, from 0."]
    sweep_model_id: Annotated[int, "The model and its settings."]
    prompt_id: Annotated[int, "The prompt."]
    repeat: Annotated[int, "Number of the repeat, from 1."]
    state: Annotated[str, "queued, running or done (with any outcome)."]
    latest_run_id: Annotated[int | None, "Its latest run. NULL before the first."]
    rank: Annotated[float, "Order among its model's waiting jobs, lower first, then position."]
    paused: Annotated[int, "1 while it is held back, else 0."]
    fallback_id: Annotated[
        int | None, "The fallback it is to be tried with. NULL: its model, as first named."
    ]


class JobImages(TypedDict, total=False):
    """The images of a job, in order."""

    job_id: Annotated[int, "The job."]
    position: Annotated[int, "Place among the job's images, from 0."]
    image_id: Annotated[int, "The image."]

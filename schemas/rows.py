"""Every table and view of the database, column by column: what it means and when it is NULL.

One source of truth for people and for types: `docs/results.md` is generated from it and a test
holds it against the real database. How the tables are made is `runner/database/migrations.py`; this
module changes nothing and runs nothing.

Times of day are UTC text (ISO 8601, microseconds), durations seconds, sizes bytes, rates tokens
a second; nothing is rounded and unknown is NULL, never 0.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

Outcome = Literal[
    "ok",
    "error",
    "timeout",
    "crashed",
    "out_of_memory",
    "memory_limit",
    "unsupported",
    "interrupted",
    "skipped",
]
Phase = Literal["prepare", "start", "download", "load", "prefill", "generate", "stop"]
JobState = Literal["queued", "running", "done"]


class Environments(TypedDict, total=False):
    """What a supervisor or a worker ran in. Never a token, never the whole environment."""

    id: Annotated[int, "Number of the row."]
    sha256: Annotated[str, "Hash of the other columns; equal environments are one row."]
    python: Annotated[str, "Version of the Python interpreter."]
    platform: Annotated[str, "Operating system and its version."]
    machine: Annotated[str, "Processor architecture, such as x86_64 or arm64."]
    cpu: Annotated[str | None, "Processor's name. NULL where the system does not tell."]
    cores: Annotated[int | None, "Processors this process may use. NULL where not told."]
    memory_bytes: Annotated[int | None, "Memory of the machine. NULL where not told."]
    accelerator: Annotated[str | None, "Name of the device a worker used. NULL for the CPU."]
    packages: Annotated[str, "JSON object: library to version, those that matter here."]


class Sweeps(TypedDict, total=False):
    """One sweep: models x images x prompts x settings, as it was asked for."""

    id: Annotated[int, "Number of the row."]
    uid: Annotated[str, "Name that is unique over all machines; sorts by time."]
    name: Annotated[str | None, "Name given in the sweep file. NULL when none was given."]
    source: Annotated[str, "The sweep file's path, or 'command line' or 'demo'."]
    spec: Annotated[str, "JSON: the sweep as it was validated, defaults filled in."]
    state: Annotated[str, "queued, running, done or interrupted."]
    environment_id: Annotated[int, "The supervisor's environment."]
    created_at: Annotated[str, "When it was stored."]
    started_at: Annotated[str | None, "When its first worker was started. NULL before."]
    ended_at: Annotated[str | None, "When its last job ended. NULL before."]


class Models(TypedDict, total=False):
    """A model as it was asked for and, in rows with a fingerprint, as it lay on disk."""

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


class SweepModels(TypedDict, total=False):
    """A model's part in one sweep: its name there and the settings it ran with."""

    id: Annotated[int, "Number of the row."]
    sweep_id: Annotated[int, "The sweep."]
    position: Annotated[int, "Place of the model in the sweep's list, from 0."]
    name: Annotated[str, "Name shown, unique in the sweep."]
    model_id: Annotated[int, "The model as it was asked for."]
    engine: Annotated[str, "Engine asked for: auto, transformers, mlx or openai."]
    dtype: Annotated[str, "Number type asked for, or auto."]
    device: Annotated[str, "Device asked for, or auto."]
    trust_remote_code: Annotated[int, "1 when the model's own Python code was allowed, else 0."]
    allow_pickle: Annotated[int, "1 when pickled weights were allowed, else 0."]
    processor: Annotated[str, "JSON object: settings for the model's own processor."]
    url: Annotated[str | None, "Address of the server. NULL but for engine openai."]
    api_key_env: Annotated[
        str | None, "Name of the variable that held the server's key. NULL when it needs none."
    ]
    generation: Annotated[str, "JSON object: the generation settings in force."]
    overrides: Annotated[str, "JSON list: those of them that differ from the sweep's."]
    limits: Annotated[str, "JSON object: the limits in force."]
    fallback_of: Annotated[
        int | None, "The row this one is tried after. NULL for a model of the sweep itself."
    ]


class Images(TypedDict, total=False):
    """A picture or video as it was found and as every engine got it."""

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
        "Frames in the file; of a picture the first is used. NULL when undecodable.",
    ]
    duration_s: Annotated[
        float | None, "A video's length by its frames. NULL for pictures and when undecodable."
    ]
    max_frames: Annotated[int | None, "Frames of the video asked for. NULL for pictures."]
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
    error_class: Annotated[str | None, "Why it could not be prepared. NULL when it was."]
    message: Annotated[str | None, "The same in words. NULL when it was prepared."]


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
    repeat: Annotated[int, "Which repeat it is, from 1."]
    state: Annotated[str, "queued, running or done (whatever came of it)."]
    latest_run_id: Annotated[int | None, "Its latest run. NULL before the first."]


class JobImages(TypedDict, total=False):
    """The pictures of a job, in order."""

    job_id: Annotated[int, "The job."]
    position: Annotated[int, "Place among the job's pictures, from 0."]
    image_id: Annotated[int, "The picture."]


class Workers(TypedDict, total=False):
    """One worker: the life of one process that held one model."""

    id: Annotated[int, "Number of the row."]
    sweep_id: Annotated[int, "The sweep."]
    number: Annotated[int, "Which worker of the sweep it is, from 1."]
    sweep_model_id: Annotated[int, "The model and its settings."]
    model_id: Annotated[int, "The model as found on disk; as asked for until it is found."]
    environment_id: Annotated[int | None, "Environment it reported. NULL before it loaded."]
    pid: Annotated[int | None, "Process id of the worker. NULL when it never started."]
    started_at: Annotated[str, "When it was started."]
    ended_at: Annotated[str | None, "When its whole process tree was gone. NULL before."]
    phase: Annotated[str, "Last phase it was in."]
    engine: Annotated[str | None, "Engine used. NULL before it loaded."]
    family: Annotated[str | None, "Family the model was matched to. NULL before it loaded."]
    model_class: Annotated[str | None, "Class of the model. NULL before it loaded."]
    processor_class: Annotated[str | None, "Class of its processor. NULL before it loaded."]
    device: Annotated[str | None, "Device used. NULL before it loaded."]
    dtype: Annotated[str | None, "Number type used. NULL before it loaded."]
    dtype_reason: Annotated[str | None, "Why that number type. NULL before it loaded."]
    attention: Annotated[str | None, "Attention implementation. NULL where the engine has none."]
    parameters: Annotated[int | None, "Parameters of the model. NULL where not told."]
    notes: Annotated[str | None, "JSON list: what was out of the ordinary. NULL before it loaded."]
    download_s: Annotated[
        float | None, "Seconds fetching the model's files, not part of load_s. NULL for folders."
    ]
    load_s: Annotated[
        float | None,
        "Seconds from the load's begin to the model being ready: imports, weights and"
        " processor, without the download. NULL when it did not load.",
    ]
    import_s: Annotated[float | None, "Part of load_s: importing libraries. NULL as load_s."]
    weights_s: Annotated[float | None, "Part of load_s: reading weights. NULL as load_s."]
    processor_s: Annotated[float | None, "Part of load_s: the processor. NULL as load_s."]
    exit_code: Annotated[int | None, "Exit status. NULL when a signal ended it, or unknown."]
    exit_signal: Annotated[str | None, "Signal that ended it. NULL when it exited by itself."]
    killed_for: Annotated[
        str | None,
        "Limit or reason we killed it for: download_s, load_s, first_token_s, run_s,"
        " silence_s, memory_bytes, interrupted, protocol or stop_s. NULL when we did not.",
    ]
    kill_s: Annotated[
        float | None, "Seconds from our decision to the whole tree being gone. NULL if not killed."
    ]
    kill_asked_at: Annotated[str | None, "When we decided to kill it. NULL when we did not."]
    stack_s: Annotated[
        float | None, "Part of kill_s: until the Python stack was taken. NULL when none was."
    ]
    kill_signals: Annotated[
        str | None,
        "Signals it was sent, in order: SIGUSR1 takes the stack. NULL if not killed.",
    ]
    killed_processes: Annotated[int | None, "Processes killed with it. NULL when not known."]
    survivors: Annotated[
        int | None, "Processes that outlived the kill. NULL if not killed, or not known."
    ]
    freed_bytes: Annotated[
        int | None,
        "How much more memory the machine had available after the kill, whoever gave it back."
        " NULL if not killed.",
    ]
    cpu_s: Annotated[float | None, "Processor seconds it used. NULL when not known."]
    peak_rss_bytes: Annotated[
        int | None,
        "Highest resident memory of its process tree, files mapped in included."
        " NULL when it was never sampled.",
    ]
    peak_rss_method: Annotated[str | None, "How that was measured. NULL with it."]
    peak_anonymous_bytes: Annotated[
        int | None, "Highest sample of resident memory not backed by files. NULL where not told."
    ]
    peak_file_bytes: Annotated[
        int | None, "Highest sample of resident memory backed by files. NULL where not told."
    ]
    peak_device_bytes: Annotated[
        int | None, "Highest device memory reported. NULL on the CPU and where not told."
    ]
    peak_device_method: Annotated[str | None, "How that was measured. NULL with it."]
    error_class: Annotated[str | None, "Why it could not be made ready. NULL when it was."]
    message: Annotated[str | None, "The same in words. NULL when it was made ready."]
    hint: Annotated[str | None, "What to do about it. NULL when nothing is known."]
    stack: Annotated[str | None, "Python stack at the kill. NULL when none was taken."]
    log_path: Annotated[str, "File with all that the worker and its libraries printed."]


class Runs(TypedDict, total=False):
    """One attempt at a job: always a row, also when it failed."""

    id: Annotated[int, "Number of the row."]
    job_id: Annotated[int, "The job."]
    attempt: Annotated[int, "Which attempt at the job it is, from 1."]
    worker_id: Annotated[int | None, "Its worker. NULL when none was needed (skipped, bad image)."]
    started_at: Annotated[str, "When it was handed to the worker, or given up."]
    ended_at: Annotated[str | None, "When its outcome was known. NULL while it runs."]
    outcome: Annotated[
        str | None,
        "ok, error, timeout, crashed, out_of_memory, memory_limit, unsupported, interrupted"
        " or skipped. NULL while it runs.",
    ]
    phase: Annotated[
        str | None,
        "Phase it ended in when not ok: prepare, start, download, load, prefill, generate or"
        " stop. NULL when ok, skipped or running.",
    ]
    error_class: Annotated[str | None, "Class of the failure. NULL when ok or not classed."]
    message: Annotated[str | None, "What happened, in words. NULL when ok."]
    hint: Annotated[str | None, "What to do about it. NULL when nothing is known."]
    traceback: Annotated[str | None, "Python traceback, or the stack at the kill. NULL when none."]
    latency_s: Annotated[
        float | None,
        "Seconds from the worker taking the run up to its text being complete, preparation of"
        " inputs included. NULL when it did not finish.",
    ]
    preprocess_s: Annotated[
        float | None,
        "Part of latency_s: from taking the run up to the model's inputs being ready."
        " NULL when the first token never came.",
    ]
    ttft_s: Annotated[
        float | None,
        "Seconds from taking the run up to the first token with visible text. NULL when none came.",
    ]
    input_tokens: Annotated[
        int | None, "Tokens given to the model, image tokens included. NULL when not known."
    ]
    image_tokens: Annotated[
        int | None,
        "Those of them that stand for pictures or videos. NULL where the engine cannot tell.",
    ]
    image_tiles: Annotated[
        int | None, "Tiles the pictures were cut into. NULL where the engine cannot tell."
    ]
    output_tokens: Annotated[
        int | None,
        "Tokens generated, the end token included; of a run that was cut short, those that"
        " had arrived. NULL when none came, or when a server does not tell.",
    ]
    prompt_tps: Annotated[
        float | None,
        "input_tokens over the seconds from inputs being ready to the first token."
        " NULL when none came, or input_tokens is.",
    ]
    generation_tps: Annotated[
        float | None,
        "(output_tokens - 1) over the seconds from the first to the last token."
        " NULL for fewer than two tokens, or when they are not counted.",
    ]
    finish_reason: Annotated[
        str | None, "stop (the model ended), or length (max_new_tokens). NULL when not finished."
    ]
    raw_text: Annotated[
        str | None,
        "Text as generated, special tokens included; of a run that was cut short, what had"
        " arrived. NULL when none came.",
    ]
    text: Annotated[
        str | None,
        "raw_text without special tokens and chat markers, white space folded."
        " NULL when the run did not finish.",
    ]
    transcript: Annotated[
        str | None, "JSON list of {role, text} of a conversation. NULL for a single question."
    ]
    peak_rss_bytes: Annotated[
        int | None, "Highest resident memory of the process tree during the run. NULL if unsampled."
    ]
    peak_rss_method: Annotated[str | None, "How that was measured. NULL with it."]
    peak_device_bytes: Annotated[
        int | None, "Highest device memory during the run. NULL on the CPU and where not told."
    ]
    peak_device_method: Annotated[str | None, "How that was measured. NULL with it."]
    notes: Annotated[str | None, "JSON list: what was out of the ordinary. NULL when nothing was."]


class MemorySamples(TypedDict, total=False):
    """A worker's memory over time, at a modest rate."""

    worker_id: Annotated[int, "The worker."]
    at_s: Annotated[float, "Seconds since the worker was started."]
    phase: Annotated[str, "Phase the worker was in."]
    rss_bytes: Annotated[int, "Resident memory of its process tree."]
    anonymous_bytes: Annotated[int | None, "Not backed by files. NULL where not told."]
    file_bytes: Annotated[int | None, "Backed by files. NULL where not told."]
    device_bytes: Annotated[int | None, "Device memory last reported. NULL where not told."]


class Results(TypedDict, total=False):
    """View: one flat row per job, of its latest run."""

    sweep: Annotated[str, "The sweep's name, or its uid where it has none."]
    model: Annotated[str, "The model's name in the sweep."]
    image: Annotated[str | None, "The picture's file name; several with commas. NULL without one."]
    prompt: Annotated[str, "The prompt's name, or its text where it has none."]
    repeat: Annotated[int, "Which repeat it is, from 1."]
    outcome: Annotated[str | None, "As runs.outcome; NULL when not run yet or running."]
    text: Annotated[str | None, "As runs.text; NULL when the run did not finish."]
    latency_s: Annotated[float | None, "As runs.latency_s; NULL when it did not finish."]
    ttft_s: Annotated[float | None, "As runs.ttft_s; NULL when no text came."]
    load_s: Annotated[float | None, "As workers.load_s; NULL when it did not load."]
    preprocess_s: Annotated[float | None, "As runs.preprocess_s; NULL when no token came."]
    input_tokens: Annotated[int | None, "As runs.input_tokens; NULL when not known."]
    image_tokens: Annotated[int | None, "As runs.image_tokens; NULL when not known."]
    output_tokens: Annotated[int | None, "As runs.output_tokens; NULL when none came."]
    prompt_tps: Annotated[float | None, "As runs.prompt_tps; NULL when none came."]
    generation_tps: Annotated[float | None, "As runs.generation_tps; NULL below two tokens."]
    finish_reason: Annotated[str | None, "As runs.finish_reason; NULL when not finished."]
    peak_rss_bytes: Annotated[int | None, "As runs.peak_rss_bytes; NULL when not sampled."]
    peak_device_bytes: Annotated[int | None, "As runs.peak_device_bytes; NULL on the CPU."]
    phase: Annotated[str | None, "As runs.phase; NULL when ok."]
    error_class: Annotated[str | None, "As runs.error_class; NULL when ok."]
    message: Annotated[str | None, "As runs.message; NULL when ok."]
    hint: Annotated[str | None, "As runs.hint; NULL when nothing is known."]
    engine: Annotated[str | None, "As workers.engine; NULL when it did not load."]
    device: Annotated[str | None, "As workers.device; NULL when it did not load."]
    dtype: Annotated[str | None, "As workers.dtype; NULL when it did not load."]
    commit_hash: Annotated[str | None, "As models.commit_hash; NULL for folders."]
    raw_text: Annotated[str | None, "As runs.raw_text; NULL when none came."]
    attempt: Annotated[int | None, "As runs.attempt; NULL when not run yet."]
    started_at: Annotated[str | None, "As runs.started_at; NULL when not run yet."]
    image_path: Annotated[str | None, "As images.path; several with newlines. NULL without one."]
    sweep_id: Annotated[int, "The sweep's row."]
    job_id: Annotated[int, "The job's row."]
    run_id: Annotated[int | None, "The run's row; NULL when not run yet."]
    worker_id: Annotated[int | None, "The worker's row; NULL when none was needed."]


class Summary(TypedDict, total=False):
    """View: one row per model and sweep, over each job's latest run."""

    sweep: Annotated[str, "The sweep's name, or its uid where it has none."]
    model: Annotated[str, "The model's name in the sweep."]
    jobs: Annotated[int, "Jobs of this model in the sweep."]
    ok: Annotated[int, "Those that ended ok."]
    failed: Annotated[int, "Those that ran and did not end ok."]
    skipped: Annotated[int, "Those that were skipped."]
    waiting: Annotated[int, "Those that have not ended yet."]
    success_rate: Annotated[float | None, "ok over ok + failed, 0 to 1. NULL when none ended."]
    load_s: Annotated[float | None, "Mean load_s of its workers. NULL when none loaded."]
    latency_s: Annotated[float | None, "Mean latency_s of ok runs. NULL when none is ok."]
    ttft_s: Annotated[float | None, "Mean ttft_s of ok runs. NULL when none is ok."]
    prompt_tps: Annotated[float | None, "Mean prompt_tps of ok runs. NULL when none is known."]
    generation_tps: Annotated[float | None, "Mean generation_tps of ok runs. NULL if unknown."]
    peak_rss_bytes: Annotated[int | None, "Highest of its workers. NULL when not sampled."]
    peak_device_bytes: Annotated[int | None, "Highest of its workers. NULL on the CPU."]
    engine: Annotated[str | None, "Engine of its latest loaded worker. NULL when none loaded."]
    device: Annotated[str | None, "Device of its latest loaded worker. NULL when none loaded."]
    dtype: Annotated[str | None, "Number type of that worker. NULL when none loaded."]
    notes: Annotated[str | None, "The failure seen most often, in words. NULL when none failed."]
    sweep_id: Annotated[int, "The sweep's row."]
    sweep_model_id: Annotated[int, "The row of the model's part in the sweep."]


TABLES: dict[str, type] = {
    "sweeps": Sweeps,
    "sweep_models": SweepModels,
    "models": Models,
    "images": Images,
    "prompts": Prompts,
    "jobs": Jobs,
    "job_images": JobImages,
    "workers": Workers,
    "runs": Runs,
    "memory_samples": MemorySamples,
    "environments": Environments,
}
VIEWS: dict[str, type] = {"results": Results, "summary": Summary}

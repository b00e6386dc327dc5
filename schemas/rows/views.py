"""Human-readable views."""

from __future__ import annotations

from typing import Annotated, TypedDict


class Results(TypedDict, total=False):
    """View: one flat row per job, of its latest run."""

    sweep: Annotated[str, "The sweep's name, or its uid if unnamed."]
    model: Annotated[str, "The model's name in the sweep."]
    image: Annotated[str | None, "The image's file name; several with commas. NULL without one."]
    prompt: Annotated[str, "The prompt's name, or its text if unnamed."]
    repeat: Annotated[int, "Number of the repeat, from 1."]
    outcome: Annotated[str | None, "As runs.outcome; NULL when not run yet or running."]
    text: Annotated[str | None, "As runs.text; NULL when the run did not finish."]
    latency_s: Annotated[float | None, "As runs.latency_s; NULL when it did not finish."]
    ttft_s: Annotated[float | None, "As runs.ttft_s; NULL without text."]
    load_s: Annotated[float | None, "As workers.load_s; NULL when it did not load."]
    preprocess_s: Annotated[float | None, "As runs.preprocess_s; NULL without a token."]
    input_tokens: Annotated[int | None, "As runs.input_tokens; NULL when not known."]
    image_tokens: Annotated[int | None, "As runs.image_tokens; NULL when not known."]
    output_tokens: Annotated[int | None, "As runs.output_tokens; NULL when there was none."]
    prompt_tps: Annotated[float | None, "As runs.prompt_tps; NULL when there was none."]
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
    raw_text: Annotated[str | None, "As runs.raw_text; NULL when there was none."]
    attempt: Annotated[int | None, "As runs.attempt; NULL when not run yet."]
    seed: Annotated[int | None, "As runs.seed; NULL for greedy decoding and when not run yet."]
    started_at: Annotated[str | None, "As runs.started_at; NULL when not run yet."]
    image_path: Annotated[str | None, "As images.path; several with newlines. NULL without one."]
    sweep_id: Annotated[int, "The sweep's row."]
    job_id: Annotated[int, "The job's row."]
    run_id: Annotated[int | None, "The run's row; NULL when not run yet."]
    worker_id: Annotated[int | None, "The worker's row; NULL when none was needed."]


class Summary(TypedDict, total=False):
    """View: one row per model and sweep, over each job's latest run."""

    sweep: Annotated[str, "The sweep's name, or its uid if unnamed."]
    model: Annotated[str, "The model's name in the sweep."]
    jobs: Annotated[int, "Jobs of this model in the sweep."]
    ok: Annotated[int, "Jobs that ended ok."]
    failed: Annotated[int, "Jobs that ran and did not end ok, without unusable_images."]
    skipped: Annotated[int, "Jobs that were skipped."]
    waiting: Annotated[int, "Jobs that have not ended yet."]
    unusable_images: Annotated[int, "Jobs that did not run: their image could not be read."]
    success_rate: Annotated[float | None, "ok over ok + failed, 0 to 1. NULL when none ended."]
    load_s: Annotated[float | None, "Mean load_s of its workers. NULL when none loaded."]
    latency_s: Annotated[float | None, "Mean latency_s of ok runs. NULL when none is ok."]
    ttft_s: Annotated[float | None, "Mean ttft_s of ok runs. NULL when none is ok."]
    prompt_tps: Annotated[float | None, "Mean prompt_tps of ok runs. NULL when none is known."]
    generation_tps: Annotated[float | None, "Mean generation_tps of ok runs. NULL if unknown."]
    peak_rss_bytes: Annotated[
        int | None,
        "Highest of the workers that loaded it. NULL if none, and for a model on a server.",
    ]
    peak_device_bytes: Annotated[
        int | None, "Highest of the workers that loaded it. NULL if none, and on the CPU."
    ]
    engine: Annotated[str | None, "Engine of its latest loaded worker. NULL when none loaded."]
    device: Annotated[str | None, "Device of its latest loaded worker. NULL when none loaded."]
    dtype: Annotated[str | None, "Number type of that worker. NULL when none loaded."]
    notes: Annotated[str | None, "The most frequent failure, as text. NULL when none failed."]
    sweep_id: Annotated[int, "The sweep's row."]
    sweep_model_id: Annotated[int, "The row of the model's part in the sweep."]

"""Execution records: workers, runs and their environments."""

from __future__ import annotations

from typing import Annotated, TypedDict


class Environments(TypedDict, total=False):
    """The environment of a supervisor or worker. Holds no tokens and no environment variables."""

    id: Annotated[int, "Number of the row."]
    sha256: Annotated[str, "Hash of the other columns; equal environments are one row."]
    python: Annotated[str, "Version of the Python interpreter."]
    platform: Annotated[str, "Operating system and its version."]
    machine: Annotated[str, "Processor architecture, such as x86_64 or arm64."]
    cpu: Annotated[str | None, "Processor's name. NULL when the system does not report it."]
    cores: Annotated[int | None, "Processors this process may use. NULL when unknown."]
    memory_bytes: Annotated[int | None, "Memory of the machine. NULL when unknown."]
    accelerator: Annotated[str | None, "Name of the device a worker used. NULL for the CPU."]
    packages: Annotated[str, "JSON object: versions of the relevant libraries."]


class Workers(TypedDict, total=False):
    """One worker: a process that loaded one model."""

    id: Annotated[int, "Number of the row."]
    sweep_id: Annotated[int, "The sweep."]
    number: Annotated[int, "Number of the worker in its sweep, from 1."]
    sweep_model_id: Annotated[int, "The model and its settings."]
    model_id: Annotated[int, "The model as found on disk; the requested one until then."]
    environment_id: Annotated[int | None, "Environment it reported. NULL before it loaded."]
    pid: Annotated[int | None, "Process id of the worker. NULL when it never started."]
    started_at: Annotated[str, "When it was started."]
    ended_at: Annotated[str | None, "When its whole process tree had exited. NULL before."]
    phase: Annotated[str, "Last phase it was in."]
    engine: Annotated[str | None, "Engine used. NULL before it loaded."]
    family: Annotated[str | None, "Family the model was matched to. NULL before it loaded."]
    model_class: Annotated[str | None, "Class of the model. NULL before it loaded."]
    processor_class: Annotated[str | None, "Class of its processor. NULL before it loaded."]
    device: Annotated[str | None, "Device used. NULL before it loaded."]
    dtype: Annotated[str | None, "Number type used. NULL before it loaded."]
    dtype_reason: Annotated[str | None, "Reason for that number type. NULL before it loaded."]
    attention: Annotated[str | None, "Attention implementation. NULL if the engine has none."]
    parameters: Annotated[int | None, "Parameters of the model. NULL when unknown."]
    notes: Annotated[str | None, "JSON list: unusual events. NULL before it loaded."]
    download_s: Annotated[
        float | None, "Seconds downloading the model's files, not part of load_s. NULL for folders."
    ]
    load_s: Annotated[
        float | None,
        "Seconds from the start of the load to the model being ready: imports, weights and"
        " processor, without the download. NULL when it did not load.",
    ]
    import_s: Annotated[float | None, "Part of load_s: importing libraries. NULL as load_s."]
    weights_s: Annotated[float | None, "Part of load_s: reading weights. NULL as load_s."]
    processor_s: Annotated[float | None, "Part of load_s: the processor. NULL as load_s."]
    exit_code: Annotated[int | None, "Exit status. NULL when a signal ended it, or unknown."]
    exit_signal: Annotated[str | None, "Signal that ended it. NULL when it exited by itself."]
    killed_for: Annotated[
        str | None,
        "Limit or reason it was killed for: download_s, load_s, first_token_s, run_s,"
        " silence_s, memory_bytes, interrupted, cancelled, protocol or stop_s. NULL if not"
        " killed.",
    ]
    kill_s: Annotated[
        float | None,
        "Seconds from the decision to kill to the exit of the whole tree. NULL if not killed.",
    ]
    kill_started_at: Annotated[str | None, "Time of the decision to kill it. NULL if not killed."]
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
        "Increase of the machine's available memory after the kill, from any source."
        " NULL if not killed.",
    ]
    cpu_s: Annotated[float | None, "Processor seconds it used. NULL when not known."]
    peak_rss_bytes: Annotated[
        int | None,
        "Highest resident memory of its process tree, files mapped in included."
        " NULL when it was never sampled, and when a server holds the model.",
    ]
    peak_rss_method: Annotated[str | None, "Measurement method. NULL with the value."]
    peak_anonymous_bytes: Annotated[
        int | None, "Highest sample of resident memory not backed by files. NULL when unknown."
    ]
    peak_file_bytes: Annotated[
        int | None, "Highest sample of resident memory backed by files. NULL when unknown."
    ]
    peak_device_bytes: Annotated[
        int | None, "Highest device memory reported. NULL on the CPU and when unknown."
    ]
    peak_device_method: Annotated[str | None, "Measurement method. NULL with the value."]
    error_class: Annotated[str | None, "Class of the load failure. NULL when it loaded."]
    message: Annotated[str | None, "Text of the load failure. NULL when it loaded."]
    hint: Annotated[str | None, "Suggested fix. NULL when none is known."]
    stack: Annotated[str | None, "Python stack at the kill. NULL when none was taken."]
    log_path: Annotated[str, "File with the output of the worker and its libraries."]
    visible_devices: Annotated[
        str | None, "CUDA_VISIBLE_DEVICES set for the worker. NULL when not set."
    ]
    load_slept_s: Annotated[
        float | None,
        "Seconds the machine slept from its start to the end of its load, download included."
        " 0 is none, NULL when unknown.",
    ]
    load_swapped_bytes: Annotated[
        int | None, "Bytes the machine moved to swap and back in that time. NULL when unknown."
    ]
    load_throttled_s: Annotated[
        float | None,
        "Seconds the supervisor's control group was throttled by its processor quota in that time,"
        " summed over processors. NULL when unknown.",
    ]
    load_thermal_throttles: Annotated[
        int | None, "Thermal throttle events of the processors in that time. NULL when unknown."
    ]
    load_memory_stalled_s: Annotated[
        float | None, "Seconds some process waited for memory in that time. NULL when unknown."
    ]
    peak_swap_bytes: Annotated[
        int | None, "Highest sample of its tree's memory in swap. NULL when unknown."
    ]
    waiting_for: Annotated[
        str | None, "Reason it waits for its server now. NULL when it does not wait."
    ]
    waited_s: Annotated[
        float | None, "Part of load_s: waiting for a server. NULL for models without one."
    ]


class Runs(TypedDict, total=False):
    """One attempt at a job: always a row, also when it failed."""

    id: Annotated[int, "Number of the row."]
    job_id: Annotated[int, "The job."]
    attempt: Annotated[int, "Number of the attempt at the job, from 1."]
    worker_id: Annotated[int | None, "Its worker. NULL when none was needed (skipped, bad image)."]
    started_at: Annotated[str, "When it was sent to the worker, or skipped."]
    ended_at: Annotated[str | None, "When its outcome was known. NULL while it runs."]
    outcome: Annotated[
        str | None,
        "ok, error, timeout, crashed, out_of_memory, memory_limit, unsupported, interrupted"
        " or skipped. NULL while it runs.",
    ]
    phase: Annotated[
        str | None,
        "Phase it ended in when not ok: prepare, start, download, load, prefill, generate or"
        " stop. NULL when ok or running, and when skipped before it began.",
    ]
    error_class: Annotated[str | None, "Class of the failure. NULL when ok or not classed."]
    message: Annotated[str | None, "Text of the failure. NULL when ok."]
    hint: Annotated[str | None, "Suggested fix. NULL when none is known."]
    traceback: Annotated[str | None, "Python traceback, or the stack at the kill. NULL when none."]
    latency_s: Annotated[
        float | None,
        "Seconds from the worker taking the run up to its text being complete, preparation of"
        " inputs included. NULL when it did not finish.",
    ]
    preprocess_s: Annotated[
        float | None,
        "Part of latency_s: from taking the run up to the model's inputs being ready."
        " NULL when there was no first token.",
    ]
    ttft_s: Annotated[
        float | None,
        "Seconds from taking the run up to the first token with visible text."
        " NULL when there was none.",
    ]
    input_tokens: Annotated[
        int | None, "Tokens given to the model, image tokens included. NULL when not known."
    ]
    image_tokens: Annotated[
        int | None,
        "Part of input_tokens used by images or videos. NULL if the engine does not report it.",
    ]
    image_tiles: Annotated[
        int | None, "Tiles the images were cut into. NULL if the engine does not report it."
    ]
    output_tokens: Annotated[
        int | None,
        "Tokens generated, the end token included; of a run that was cut short, those that"
        " had arrived. NULL when there were none, or when a server does not report them.",
    ]
    prompt_tps: Annotated[
        float | None,
        "input_tokens over the seconds from inputs being ready to the first token."
        " NULL without a token, or when input_tokens is NULL.",
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
        "Text as generated, special tokens included; of a run that was cut short, the text that"
        " had arrived. NULL when there was none.",
    ]
    text: Annotated[
        str | None,
        "The answer: raw_text without reasoning, special tokens and chat markers, white space"
        " folded, empty lines kept. Empty when the text ended within the reasoning."
        " NULL when the run did not finish.",
    ]
    transcript: Annotated[
        str | None, "JSON list of {role, text} of a conversation. NULL for a single question."
    ]
    peak_rss_bytes: Annotated[
        int | None,
        "Highest resident memory of the process tree during the run. NULL if unsampled, and when a"
        " server holds the model.",
    ]
    peak_rss_method: Annotated[str | None, "Measurement method. NULL with the value."]
    peak_device_bytes: Annotated[
        int | None, "Highest device memory during the run. NULL on the CPU and when unknown."
    ]
    peak_device_method: Annotated[str | None, "Measurement method. NULL with the value."]
    notes: Annotated[str | None, "JSON list: unusual events. NULL when none."]
    slept_s: Annotated[
        float | None,
        "Seconds the machine slept during the run; no other duration includes them. 0 is none,"
        " NULL when unknown or without a worker.",
    ]
    swapped_bytes: Annotated[
        int | None,
        "Bytes the whole machine moved to swap and back during the run. NULL as slept_s.",
    ]
    throttled_s: Annotated[
        float | None,
        "Seconds the supervisor's control group was throttled by its processor quota during the"
        " run, summed over processors. NULL as slept_s.",
    ]
    thermal_throttles: Annotated[
        int | None,
        "Thermal throttle events of the processors during the run. NULL as slept_s.",
    ]
    memory_stalled_s: Annotated[
        float | None,
        "Seconds during the run in which some process of the control group (else: of the machine)"
        " waited for memory. NULL as slept_s.",
    ]
    peak_swap_bytes: Annotated[
        int | None,
        "Highest sample of the process tree's memory in swap. NULL when unknown.",
    ]
    reasoning: Annotated[
        str | None,
        "Part of raw_text that is the model's reasoning, not its answer: sent apart by a server, or"
        " between marks (<think> and others) at the start of the text. NULL when none.",
    ]
    waited_s: Annotated[
        float | None,
        "Seconds waited for a server that was busy, loading or away; no part of latency_s."
        " NULL when it did not wait.",
    ]
    requeued: Annotated[
        int,
        "1 when its server could not answer and the job went back to the queue: such a run does"
        " not count as one of the job's tries. Else 0.",
    ]
    seed: Annotated[
        int | None,
        "Seed the answer was sampled with: the base seed (the model's or sweeps.seed) for repeat 1,"
        " a hash of it and the repeat's number for the others. Every attempt at a job has the"
        " same. NULL for greedy decoding, and without a worker.",
    ]
    unusable_image: Annotated[
        int,
        "1 when the job did not run because an image of it could not be read: not a failure of the"
        " model. Else 0. Computed from outcome and phase.",
    ]


class MemorySamples(TypedDict, total=False):
    """A worker's memory over time, at a modest rate."""

    worker_id: Annotated[int, "The worker."]
    at_s: Annotated[float, "Seconds since the worker was started."]
    phase: Annotated[str, "Phase the worker was in."]
    rss_bytes: Annotated[int, "Resident memory of its process tree."]
    anonymous_bytes: Annotated[int | None, "Not backed by files. NULL when unknown."]
    file_bytes: Annotated[int | None, "Backed by files. NULL when unknown."]
    device_bytes: Annotated[int | None, "Device memory last reported. NULL when unknown."]

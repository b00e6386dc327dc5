"""What happened: workers, runs, and where they ran."""

from __future__ import annotations

from typing import Annotated, TypedDict


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
        " silence_s, memory_bytes, interrupted, cancelled, protocol or stop_s. NULL when we did"
        " not.",
    ]
    kill_s: Annotated[
        float | None, "Seconds from our decision to the whole tree being gone. NULL if not killed."
    ]
    kill_started_at: Annotated[str | None, "When we decided to kill it. NULL when we did not."]
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
    visible_devices: Annotated[
        str | None, "CUDA_VISIBLE_DEVICES as we set it. NULL when we did not."
    ]
    load_slept_s: Annotated[
        float | None,
        "Seconds the machine slept between its start and its load's end, the download included."
        " 0 is none, NULL where not told.",
    ]
    load_swapped_bytes: Annotated[
        int | None, "Bytes the machine moved to swap and back in that time. NULL where not told."
    ]
    load_throttled_s: Annotated[
        float | None,
        "Seconds our control group was held back for its processor quota in that time, summed"
        " over processors. NULL where not told.",
    ]
    load_thermal_throttles: Annotated[
        int | None, "How often processors were slowed for heat in that time. NULL where not told."
    ]
    load_memory_stalled_s: Annotated[
        float | None, "Seconds some process waited for memory in that time. NULL where not told."
    ]
    peak_swap_bytes: Annotated[
        int | None, "Highest sample of its tree's memory that lay in swap. NULL where not told."
    ]
    waiting_for: Annotated[
        str | None, "Why it waits for its server now. NULL when it does not wait."
    ]
    waited_s: Annotated[
        float | None, "Part of load_s: waiting for a server. NULL for models without one."
    ]


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
        " stop. NULL when ok or running, and when skipped before it began.",
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
        "Those of them that stand for images or videos. NULL where the engine cannot tell.",
    ]
    image_tiles: Annotated[
        int | None, "Tiles the images were cut into. NULL where the engine cannot tell."
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
    slept_s: Annotated[
        float | None,
        "Seconds the machine slept during the run; no time of ours counts them. 0 is none,"
        " NULL where not told or without a worker.",
    ]
    swapped_bytes: Annotated[
        int | None,
        "Bytes the whole machine moved to swap and back during the run. NULL as slept_s.",
    ]
    throttled_s: Annotated[
        float | None,
        "Seconds our control group was held back for its processor quota during the run, summed"
        " over processors. NULL as slept_s.",
    ]
    thermal_throttles: Annotated[
        int | None,
        "How often processors were slowed for heat during the run. NULL as slept_s.",
    ]
    memory_stalled_s: Annotated[
        float | None,
        "Seconds during the run in which some process of our control group (else: of the machine)"
        " waited for memory. NULL as slept_s.",
    ]
    peak_swap_bytes: Annotated[
        int | None,
        "Highest sample of the process tree's memory that lay in swap. NULL where not told.",
    ]
    reasoning: Annotated[
        str | None,
        "Part of raw_text that is the model's reasoning, not its answer. NULL when none.",
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


class MemorySamples(TypedDict, total=False):
    """A worker's memory over time, at a modest rate."""

    worker_id: Annotated[int, "The worker."]
    at_s: Annotated[float, "Seconds since the worker was started."]
    phase: Annotated[str, "Phase the worker was in."]
    rss_bytes: Annotated[int, "Resident memory of its process tree."]
    anonymous_bytes: Annotated[int | None, "Not backed by files. NULL where not told."]
    file_bytes: Annotated[int | None, "Backed by files. NULL where not told."]
    device_bytes: Annotated[int | None, "Device memory last reported. NULL where not told."]

"""Events from a worker to the supervisor: one JSON object per line on a separate descriptor.

Plain dataclasses: the worker only writes them, the runner validates every line against them
(the worker's process is not trusted to stay sane). All durations are seconds by the worker's
monotonic clock, all sizes bytes; None means unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

WorkerPhase = Literal["start", "download", "load", "idle", "prefill", "waiting", "generate", "stop"]
ServerState = Literal["busy", "loading", "away"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The worker's interpreter is up; nothing heavy has been imported yet."""

    event: Literal["started"] = "started"
    pid: int
    python: str
    executable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Something long moves: a download (`unit` bytes) or a load (`unit` steps)."""

    event: Literal["progress"] = "progress"
    phase: WorkerPhase
    message: str
    done: float | None = None
    total: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The model's files are on disk. `download_s` is None for a local folder."""

    event: Literal["fetched"] = "fetched"
    path: str
    commit: str | None = None
    download_s: float | None = None
    weights_bytes: int | None = None
    files: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The model is in memory and can answer.

    `load_s` spans imports, weights and processor, without the download; `import_s`,
    `weights_s` and `processor_s` are its parts. `versions` are those of the libraries in use.
    """

    event: Literal["loaded"] = "loaded"
    engine: str
    family: str
    model_class: str
    processor_class: str | None = None
    device: str
    device_name: str | None = None
    dtype: str
    dtype_reason: str
    attention: str | None = None
    load_s: float
    import_s: float | None = None
    weights_s: float | None = None
    processor_s: float | None = None
    parameters: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    device_bytes: int | None = None
    device_reserved_bytes: int | None = None
    waited_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The model's server cannot answer now; the request is sent again in `retry_in_s` seconds.

    `run` is None during a load. `attempt` counts from 1, `waited_s` is the wait so far.
    """

    event: Literal["waiting"] = "waiting"
    run: int | None = None
    server_state: ServerState
    reason: str
    attempt: int
    retry_in_s: float
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The worker took a run up."""

    event: Literal["run_started"] = "run_started"
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstToken:
    """The first token with visible text of the last answer was generated."""

    event: Literal["first_token"] = "first_token"
    run: int
    ttft_s: float
    preprocess_s: float
    input_tokens: int | None = None
    image_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A piece of raw text as it is generated; the pieces joined are the raw text so far."""

    event: Literal["text"] = "text"
    run: int
    text: str
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """One run's answer and figures; `vlmsweep help results` defines each of them.

    `reasoning` is the part of `raw_text` that is not the answer, None without any. `waited_s` is
    the time spent waiting for the model's server, None for models that have none.
    """

    event: Literal["run_finished"] = "run_finished"
    run: int
    raw_text: str
    text: str
    reasoning: str | None = None
    finish_reason: FinishReason
    latency_s: float
    preprocess_s: float
    ttft_s: float | None = None
    input_tokens: int | None = None
    image_tokens: int | None = None
    image_tiles: int | None = None
    output_tokens: int | None = None
    prompt_tps: float | None = None
    generation_tps: float | None = None
    peak_device_bytes: int | None = None
    peak_device_reserved_bytes: int | None = None
    peak_device_method: str | None = None
    transcript: list[dict[str, str]] | None = None
    notes: list[str] = field(default_factory=list)
    waited_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Something failed. With `run` None the model itself could not be loaded.

    `requeue`: the job is not at fault and may be retried. `server_state` is set when the
    model's server cannot answer any job now; `retry_after_s` is how long it asked to be left
    alone. `text` is the answer of a run that failed although the answer is complete.
    """

    event: Literal["error"] = "error"
    run: int | None = None
    phase: WorkerPhase
    error_class: str
    exception: str
    message: str
    hint: str | None = None
    traceback: str | None = None
    requeue: bool = False
    server_state: ServerState | None = None
    retry_after_s: float | None = None
    text: str | None = None
    reasoning: str | None = None
    notes: list[str] = field(default_factory=list)
    waited_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life from a separate thread, with the memory only the worker can see."""

    event: Literal["heartbeat"] = "heartbeat"
    phase: WorkerPhase
    device_bytes: int | None = None
    device_reserved_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerExiting:
    """The worker leaves of its own will."""

    event: Literal["worker_exiting"] = "worker_exiting"
    runs: int


RunEvent = RunStarted | FirstToken | Text | RunFinished | Error
Event = Started | Progress | Fetched | Loaded | Waiting | RunEvent | Heartbeat | WorkerExiting

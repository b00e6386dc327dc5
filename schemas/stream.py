"""What `vlmsweep run --json` prints, an object a line, and what the live view is drawn from.

The supervisor tells these after the fact was committed to the database, so that whoever reads
the stream never knows more than the file does. Workers speak `schemas.events` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class OfSweep:
    """What happens within a sweep: its uid, or None where it is the one told of last."""

    sweep: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted:
    """The sweep is stored and its first worker is about to be started.

    To those who came later also the jobs that were done before, seconds from run to run lately,
    and how long it had been running.
    """

    event: Literal["sweep_started"] = "sweep_started"
    sweep: str
    name: str | None
    database: str
    models: list[str]
    jobs: int
    jobs_by_model: dict[str, int]
    outcomes_by_model: dict[str, dict[str, int]] = field(default_factory=dict)
    pace_by_model: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsCounted:
    """A sweep's jobs were counted anew: some were added, tried again, or taken away."""

    event: Literal["jobs_counted"] = "jobs_counted"
    sweep: str
    jobs_by_model: dict[str, int]
    outcomes_by_model: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A supervisor had died on this database: its leftovers were killed, its runs closed."""

    event: Literal["recovered"] = "recovered"
    processes: int
    runs: int
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePrepared:
    """A picture was decoded and stored, or could not be (`message` says why)."""

    event: Literal["image_prepared"] = "image_prepared"
    path: str
    done: int
    total: int
    error_class: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFinding:
    """Something that jobs will fail for (problem) or may fail for (warning), seen before the start.

    `about` is an error class or a part of preflight, `where` the model, picture or place.
    """

    event: Literal["preflight_finding"] = "preflight_finding"
    severity: str
    about: str
    where: str
    message: str
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchStarted:
    """`vlmsweep fetch` is about to fetch these models, one after another."""

    event: Literal["fetch_started"] = "fetch_started"
    models: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFetched:
    """A model's files are on disk and whole; else `error_class` and `message` say why not.

    `download_s` is the time it took, `weights_bytes` the size of its weights.
    """

    event: Literal["model_fetched"] = "model_fetched"
    model: str
    location: str
    download_s: float | None = None
    weights_bytes: int | None = None
    commit: str | None = None
    error_class: str | None = None
    message: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentProgress:
    """The environment a model runs in is being made. `state`: making, ready or failed."""

    event: Literal["environment_progress"] = "environment_progress"
    model: str
    state: str
    message: str
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarted(OfSweep):
    """A process for one model was started, `elapsed_s` before this was told."""

    event: Literal["worker_started"] = "worker_started"
    worker: int
    model: str
    pid: int | None
    log: str
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgress(OfSweep):
    """A download or a load moves."""

    event: Literal["worker_progress"] = "worker_progress"
    worker: int
    model: str
    phase: str
    message: str
    done: float | None
    total: float | None
    unit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLoaded(OfSweep):
    """The model can answer."""

    event: Literal["worker_loaded"] = "worker_loaded"
    worker: int
    model: str
    engine: str
    device: str
    dtype: str
    load_s: float
    download_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(OfSweep):
    """A job was handed to a worker, `elapsed_s` before this was told."""

    event: Literal["run_started"] = "run_started"
    run: int
    job: int
    worker: int
    model: str
    image: str | None
    prompt: str
    repeat: int
    attempt: int
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFirstToken(OfSweep):
    """The first visible text is there."""

    event: Literal["first_token"] = "first_token"
    run: int
    ttft_s: float
    input_tokens: int | None
    image_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunText(OfSweep):
    """A piece of raw text."""

    event: Literal["text"] = "text"
    run: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(OfSweep):
    """A run has its outcome; columns of `runs` under their own names.

    `tried_again` tells that the job goes on to another way to load its model.
    """

    event: Literal["run_finished"] = "run_finished"
    run: int
    job: int
    worker: int | None
    model: str
    image: str | None
    prompt: str
    repeat: int
    outcome: str
    phase: str | None = None
    error_class: str | None = None
    message: str | None = None
    hint: str | None = None
    text: str | None = None
    finish_reason: str | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    input_tokens: int | None = None
    image_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tps: float | None = None
    generation_tps: float | None = None
    peak_rss_bytes: int | None = None
    peak_device_bytes: int | None = None
    tried_again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FallingBack(OfSweep):
    """Jobs that did not end ok are tried with another way to load the model."""

    event: Literal["falling_back"] = "falling_back"
    model: str
    to: str
    jobs: int
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined(OfSweep):
    """A model cost too many workers: the `jobs` it has left are skipped."""

    event: Literal["quarantined"] = "quarantined"
    model: str
    jobs: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySampled(OfSweep):
    """A worker's memory now and at its highest so far."""

    event: Literal["memory"] = "memory"
    worker: int
    model: str
    rss_bytes: int
    peak_rss_bytes: int | None
    device_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKilled(OfSweep):
    """A limit was broken; the worker is being killed. `worker_ended` follows."""

    event: Literal["worker_killed"] = "worker_killed"
    worker: int
    model: str
    killed_for: str
    phase: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEnded(OfSweep):
    """A worker and all it started are gone."""

    event: Literal["worker_ended"] = "worker_ended"
    worker: int
    model: str
    exit_code: int | None
    exit_signal: str | None
    killed_for: str | None
    kill_s: float | None
    peak_rss_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupting:
    """A signal came. Unless `at_once`, the run in hand may finish."""

    event: Literal["interrupting"] = "interrupting"
    signal: str
    at_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsCancelled:
    """Waiting jobs of a model were given up at the user's wish."""

    event: Literal["jobs_cancelled"] = "jobs_cancelled"
    sweep: str
    model: str
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HourCame:
    """No more jobs are begun, since they may run until an hour only (UTC)."""

    event: Literal["hour_came"] = "hour_came"
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFinished:
    """Nothing is left to do, or the sweep was interrupted."""

    event: Literal["sweep_finished"] = "sweep_finished"
    sweep: str
    state: str
    ok: int
    failed: int
    skipped: int
    waiting: int
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StayingAwake:
    """Whether the machine is kept from sleeping while sweeps run: by what, or why not."""

    event: Literal["staying_awake"] = "staying_awake"
    ok: bool
    method: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyFailed:
    """A message about a sweep could not be sent. No secret stands in it."""

    event: Literal["notify_failed"] = "notify_failed"
    message: str


WatchingState = Literal["nothing_running", "supervisor_gone", "no_database"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """`vlmsweep watch` has nothing to show, and why; it goes on looking."""

    event: Literal["watching"] = "watching"
    state: WatchingState
    message: str


StreamEvent = (
    SweepStarted
    | JobsCounted
    | Recovered
    | PreflightFinding
    | EnvironmentProgress
    | FetchStarted
    | ModelFetched
    | ImagePrepared
    | WorkerStarted
    | WorkerProgress
    | WorkerLoaded
    | RunStarted
    | RunFirstToken
    | RunText
    | RunFinished
    | FallingBack
    | Quarantined
    | MemorySampled
    | WorkerKilled
    | WorkerEnded
    | Interrupting
    | JobsCancelled
    | HourCame
    | SweepFinished
    | StayingAwake
    | NotifyFailed
    | Watching
)
Tell = Callable[[StreamEvent], None]

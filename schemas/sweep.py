"""The sweep file a user writes: models x images x prompts x settings.

These pydantic types are the one source of truth for its syntax; the JSON Schema that editors
complete from is generated from them (`scripts/make_docs.py`). Reading files and turning problems
into sentences is `runner.planning.sweepfile`; expansion into jobs is `runner.planning.jobs`.
Only the runner imports this module, since a worker may live without pydantic.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    StrictBool,
    Tag,
    model_validator,
)

from .commands import Dtype, Engine

NonEmpty = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Glob = Annotated[str, Field(min_length=1, description="A glob: * ? [abc], matched without case.")]


class Part(BaseModel):
    """What every part of a sweep file has in common: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)


def named(key: str) -> Any:
    """Lets a bare string stand for a part in which only `key` is given."""
    return lambda value: {key: value} if isinstance(value, str) else value


def as_list(value: Any) -> Any:
    """Lets one thing stand for a list of one."""
    return [value] if isinstance(value, str) else value


class GenerationSettings(Part):
    """How text is generated; greedy by default, so that a run can be repeated."""

    max_new_tokens: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 100
    do_sample: StrictBool = False
    temperature: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(strict=True, ge=1)] | None = None
    repetition_penalty: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] | None = None

    @model_validator(mode="after")
    def sampling_is_asked_for(self) -> Self:
        """A temperature that greedy decoding would silently ignore is a mistake."""
        idle = [
            name
            for name in ("temperature", "top_p", "top_k", "seed")
            if getattr(self, name) is not None
        ]
        if idle and not self.do_sample:
            raise ValueError(
                f"{', '.join(idle)} would be ignored: set do_sample: true, or leave it out"
            )
        return self


class GenerationOverrides(Part):
    """Settings one model gets instead of the sweep's; recorded with its runs as such."""

    max_new_tokens: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    do_sample: StrictBool | None = None
    temperature: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(strict=True, ge=1)] | None = None
    repetition_penalty: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] | None = None


class LimitOverrides(Part):
    """Limits one model gets instead of the sweep's."""

    download_s: Seconds | None = None
    load_s: Seconds | None = None
    first_token_s: Seconds | None = None
    run_s: Seconds | None = None
    silence_s: Seconds | None = None
    memory_bytes: Annotated[int, Field(strict=True, ge=1)] | None = None
    worker_deaths: Annotated[int, Field(strict=True, ge=1)] | None = None
    retries: Annotated[int, Field(strict=True, ge=0, le=10)] | None = None


class Limits(Part):
    """When a worker is killed. Seconds by the monotonic clock, bytes resident."""

    download_s: Seconds = Field(7200.0, description="Fetching one model's files.")
    load_s: Seconds = Field(600.0, description="Imports, weights and processor of one worker.")
    first_token_s: Seconds = Field(180.0, description="From a run's start to its first token.")
    run_s: Seconds = Field(600.0, description="One whole run.")
    silence_s: Seconds = Field(
        60.0, description="No new text while generating, or no sign of life between runs."
    )
    memory_bytes: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        None, description="Resident memory of the worker's whole process tree."
    )
    worker_deaths: Annotated[int, Field(strict=True, ge=1)] = Field(
        3, description="Workers a model may lose in a row before its other jobs are skipped."
    )
    retries: Annotated[int, Field(strict=True, ge=0, le=10)] = Field(
        1, description="Further tries after a failure that may pass: a slow load, a network."
    )


class ImageSettings(Part):
    """How pictures are prepared, the same for every model."""

    max_side: Annotated[int, Field(strict=True, ge=1, le=65_536)] | None = Field(
        1024, description="Longest side in pixels; null keeps the size."
    )


class VideoSettings(Part):
    """What of a video is looked at, the same for every model."""

    frames: Annotated[int, Field(strict=True, ge=1, le=128)] = Field(
        8, description="How many frames are taken, evenly over its length."
    )


LOADING = (
    "revision",
    "dtype",
    "device",
    "trust_remote_code",
    "allow_pickle",
    "allow_oversize",
    "python",
    "requirements",
)
Requirements = Annotated[
    Annotated[str, Field(min_length=1), Tag("word")]
    | Annotated[list[NonEmpty], Field(min_length=1), Tag("files")],
    Discriminator(lambda value: "files" if isinstance(value, list | tuple) else "word"),
]


# What is wrong is said without the value: it may hold a key.
def address(url: str) -> str:
    """A server's address, free of secrets. Raises ValueError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("should be an address such as http://127.0.0.1:11434/v1") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a name or password: use api_key_env for a key")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, without ? or #: use api_key_env for a key")
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise ValueError("should begin with http:// or https:// and name a host")
    return url


def variable(name: str) -> str:
    """An environment variable's name. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("should be the name of an environment variable, not the key itself")
    return name


# Options of a library's `from_pretrained` that say what is loaded, from where, and whether its
# code runs. That is said by keys of our own, which are checked.
DECIDED = re.compile(
    r"_.*|.*_(file|path|dir|revision)|trust_remote_code|local_files_only|revision|subfolder|config"
    r"|force_download|proxies|token|use_auth_token"
)


def of_pictures(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings for a processor alone. Raises ValueError."""
    if wrong := sorted(filter(DECIDED.fullmatch, settings)):
        raise ValueError(
            f"{', '.join(wrong)} would decide what is loaded: not a processor's to say"
        )
    return settings


class Source(Part):
    """What can be loaded, and how: a hub id or a local folder, on an engine.

    With engine openai: what a server is asked for, and where.
    """

    id: NonEmpty = Field(
        description="Hub id (org/name), path of a local folder, or a model's name at its server."
    )
    revision: NonEmpty | None = Field(None, description="Branch, tag or commit on the hub.")
    engine: Engine = "auto"
    dtype: Dtype = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    trust_remote_code: StrictBool = Field(False, description="Run Python code the model brings.")
    allow_pickle: StrictBool = Field(False, description="Load .bin/.pt weights; they can run code.")
    allow_oversize: StrictBool = Field(
        False, description="Try to load weights that seem too large for the device's memory."
    )
    processor: Annotated[dict[str, JsonValue], AfterValidator(of_pictures)] = Field(
        default_factory=dict, description="Settings for the model's own processor."
    )
    python: NonEmpty | None = Field(
        None, description="Interpreter, or an environment's folder, that its workers run in."
    )
    requirements: Requirements | None = Field(
        None, description="Packages, or a requirements file, its environment is made of and kept."
    )
    url: Annotated[str, AfterValidator(address)] | None = Field(
        None, description="Engine openai: the server's address, mostly ending in /v1."
    )
    api_key_env: Annotated[str, AfterValidator(variable)] | None = Field(
        None, description="Engine openai: the environment variable that holds the server's key."
    )

    @model_validator(mode="after")
    def a_server_or_not(self) -> Self:
        """A server needs its address, and takes no settings for loading."""
        if self.engine != "openai":
            given = [name for name in ("url", "api_key_env") if getattr(self, name) is not None]
            if given:
                raise ValueError(f"{' and '.join(given)} would be ignored without engine: openai")
            return self
        if self.url is None:
            raise ValueError("engine: openai needs url, for example http://127.0.0.1:11434/v1")
        idle = [
            name for name in LOADING if getattr(self, name) != type(self).model_fields[name].default
        ]
        idle += ["processor"] if self.processor else []
        if idle:
            raise ValueError(
                f"{', '.join(idle)} would be ignored by engine: openai, for the server loads the"
                " model: set it there"
            )
        return self


SourceLike = Annotated[Source, BeforeValidator(named("id"), json_schema_input_type=str | Source)]


class Model(Source):
    """One model of the sweep, with what is special about it."""

    name: NonEmpty | None = Field(None, description="The name shown; the id by default.")
    generation: GenerationOverrides = GenerationOverrides()
    limits: LimitOverrides = LimitOverrides()
    priority: Annotated[int, Field(strict=True, ge=-1000, le=1000)] = Field(
        0, description="Models of higher priority run first."
    )
    isolation: Literal["worker", "job"] = Field(
        "worker", description="job: a fresh process for every job, for models whose state leaks."
    )
    fallback: list[SourceLike] = Field(
        default_factory=list,
        description="What to try, in this order, with the jobs that did not end ok.",
    )


class TurnSpec(Part):
    """One turn of a conversation."""

    role: Literal["user", "assistant"] = "user"
    text: NonEmpty


TurnLike = Annotated[
    TurnSpec, BeforeValidator(named("text"), json_schema_input_type=str | TurnSpec)
]
ImageChoice = Annotated[
    Annotated[Literal["each", "none", "all"], Tag("word")]
    | Annotated[list[NonEmpty], Field(min_length=1), Tag("files")],
    Discriminator(lambda value: "files" if isinstance(value, list | tuple) else "word"),
]


class Prompt(Part):
    """A question, or a conversation of several turns, and the pictures it is asked about.

    `images`: "each" asks it once per picture of the sweep, "none" without a picture, "all"
    once with all of them; a list of files asks it once, with those.
    """

    text: NonEmpty | None = None
    turns: Annotated[list[TurnLike], Field(min_length=1)] | None = None
    name: NonEmpty | None = None
    images: ImageChoice = "each"

    @model_validator(mode="after")
    def one_way_to_ask(self) -> Self:
        """Either a text or turns that end with a user's."""
        if (self.text is None) == (self.turns is None):
            raise ValueError("give either text or turns")
        if self.turns and self.turns[-1].role == "assistant":
            raise ValueError("the last turn must be the user's")
        return self

    @property
    def question(self) -> str:
        """The user's turns, a line each."""
        said = [turn.text for turn in self.turns or [] if turn.role == "user"]
        return self.text or "\n".join(said)


ModelLike = Annotated[Model, BeforeValidator(named("id"), json_schema_input_type=str | Model)]
PromptLike = Annotated[Prompt, BeforeValidator(named("text"), json_schema_input_type=str | Prompt)]
Places = Annotated[
    list[NonEmpty], BeforeValidator(as_list, json_schema_input_type=str | list[NonEmpty])
]


Metric = Literal["exact", "contains", "vqa", "anls"]
Metrics = Annotated[
    list[Metric],
    Field(min_length=1),
    BeforeValidator(as_list, json_schema_input_type=str | list[Metric]),
]


class Exclude(Part):
    """Jobs that must not run: model glob x image glob, and why."""

    model: Glob = "*"
    image: Glob = "*"
    reason: NonEmpty


class Sweep(Part):
    """models x images x prompts x settings: what one night is asked to do."""

    name: NonEmpty | None = Field(None, description="A name to find the sweep by.")
    models: Annotated[list[ModelLike], Field(min_length=1)]
    images: Places = Field(
        default_factory=list,
        description="Files, folders (for pictures only) or globs, relative to this file.",
    )
    prompts: Annotated[list[PromptLike], Field(min_length=1)]
    generation: GenerationSettings = GenerationSettings()
    image: ImageSettings = ImageSettings()
    video: VideoSettings = VideoSettings()
    limits: Limits = Limits()
    repeats: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    answers: NonEmpty | None = Field(
        None, description="A CSV, JSONL or JSON file of accepted answers, relative to this file."
    )
    scoring: Metrics | None = Field(
        None, description="Metrics, the one that sums up first; by default those that apply."
    )
    order: Literal["quick", "listed"] = Field(
        "quick",
        description="Of models of equal priority: those first that history says are done soon,"
        " or as they are listed.",
    )
    exclude: list[Exclude] = Field(default_factory=list)

    @model_validator(mode="after")
    def scored_against_something(self) -> Self:
        """Metrics without accepted answers are a mistake."""
        if self.scoring and self.answers is None:
            raise ValueError("scoring would be ignored without answers: name their file")
        return self

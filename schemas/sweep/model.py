"""A model's source, engine, fallbacks and own settings."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    StrictBool,
    Tag,
    model_validator,
)

from ..engines import AUTO, BUILT_IN, check_engine, is_remote, remote_engines
from ..load_spec import OPTIONS, Dtype, LoadSpec
from .base import NonEmpty, SweepModelBase, named
from .server import address, variable
from .settings import GenerationOverrides, LimitOverrides

# Settings that a server ignores: it loads the model itself.
SERVER = ("engine", "url", "api_key_env")
LOADING = (
    "revision",
    *(name for name in OPTIONS if name not in SERVER),
    "python",
    "requirements",
)
Requirements = Annotated[
    Annotated[str, Field(min_length=1), Tag("word")]
    | Annotated[list[NonEmpty], Field(min_length=1), Tag("files")],
    Discriminator(lambda value: "files" if isinstance(value, list | tuple) else "word"),
]

Engine = Annotated[
    str,
    AfterValidator(check_engine),
    Field(json_schema_extra={"enum": [AUTO, *(info.name for info in BUILT_IN)]}),
]

# Options of a library's `from_pretrained` that select what is loaded, from where, and whether its
# code runs. Our own keys set these, and are checked.
DECIDED = re.compile(
    r"_.*|.*_(file|path|dir|revision)|trust_remote_code|local_files_only|revision|subfolder|config"
    r"|force_download|proxies|token|use_auth_token"
)


def of_images(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings for a processor alone. Raises ValueError."""
    if wrong := sorted(filter(DECIDED.fullmatch, settings)):
        raise ValueError(
            f"{', '.join(wrong)} would decide what is loaded: not a processor's to say"
        )
    return settings


class Source(SweepModelBase):
    """A hub id or a local folder, and the engine that loads it.

    With engine openai: the name of a server's model, and the server's address.
    """

    id: NonEmpty = Field(
        description="Hub id (org/name), path of a local folder, or a model's name at its server."
    )
    revision: NonEmpty | None = Field(None, description="Branch, tag or commit on the hub.")
    engine: Engine = AUTO
    dtype: Dtype = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    trust_remote_code: StrictBool = Field(False, description="Run Python code the model brings.")
    allow_pickle: StrictBool = Field(False, description="Load .bin/.pt weights; they can run code.")
    allow_oversize: StrictBool = Field(
        False, description="Try to load weights that seem too large for the device's memory."
    )
    processor: Annotated[dict[str, JsonValue], AfterValidator(of_images)] = Field(
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

    def load_spec(self) -> LoadSpec:
        """Return the load options alone."""
        return LoadSpec.of(self)

    @model_validator(mode="after")
    def a_server_or_not(self) -> Self:
        """A server needs its address, and takes no settings for loading."""
        if not is_remote(self.engine):
            given = [name for name in ("url", "api_key_env") if getattr(self, name) is not None]
            if given:
                names = " or ".join(remote_engines())
                raise ValueError(f"{' and '.join(given)} would be ignored without engine: {names}")
            return self
        if self.url is None:
            raise ValueError(
                f"engine: {self.engine} needs url, for example http://127.0.0.1:11434/v1"
            )
        defaults = type(self).model_fields
        idle = [
            name
            for name in LOADING
            if getattr(self, name) != defaults[name].get_default(call_default_factory=True)
        ]
        if idle:
            raise ValueError(
                f"{', '.join(idle)} would be ignored by engine: {self.engine}, for the server"
                " loads the model: set it there"
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
        description="Sources to try, in this order, with the jobs that did not end ok.",
    )


ModelLike = Annotated[Model, BeforeValidator(named("id"), json_schema_input_type=str | Model)]

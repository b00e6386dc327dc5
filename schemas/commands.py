"""What the supervisor tells a worker: one JSON object a line on the worker's standard input.

A worker gets exactly one `load`, then any number of `run`s, then `stop` (or end of file, which
means the same). Commands come from our own supervisor, so a worker trusts their shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .engines import AUTO
from .generation import Generation

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Fetch (if need be) and load one model.

    `model` is a hub id, or the absolute path of a local folder when `local` is true.
    `device` is "auto", "cpu", "mps", "cuda" or "cuda:N". `processor` holds settings passed to
    the model's own processor (for example `do_image_splitting`). Unless `allow_oversize`, weights
    that cannot fit are not loaded; `memory_bytes` is the limit that the process tree is held to.

    With `fetch_only` the model's files are fetched and looked through, and nothing is loaded.

    For a remote engine `model` is its name at the server `url`, and `api_key_env` the name of
    the environment variable that holds the key: the key itself is in no command. `server_wait_s`
    is how long one run may wait for a server that is busy, loading or away.
    """

    command: Literal["load"] = "load"
    model: str
    local: bool
    revision: str | None = None
    engine: str = AUTO
    dtype: Dtype = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    allow_pickle: bool = False
    allow_oversize: bool = False
    memory_bytes: int | None = None
    fetch_only: bool = False
    processor: dict[str, Any] = field(default_factory=dict)
    url: str | None = None
    api_key_env: str | None = None
    server_wait_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """Frames of a video, already sampled: absolute paths of prepared images, and their times.

    `before` is how many of its turn's `images` stand ahead of it.
    """

    frames: tuple[str, ...]
    times_s: tuple[float, ...]
    duration_s: float
    before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of a conversation; `images` are absolute paths of prepared images."""

    role: Literal["user", "assistant"] = "user"
    text: str
    images: tuple[str, ...] = ()
    videos: tuple[Video, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Answer one conversation.

    Where a user turn is followed by another user turn, the worker answers the first one itself
    and goes on from its own answer; the last turn is always a user's.
    """

    command: Literal["run"] = "run"
    run: int
    turns: tuple[Turn, ...]
    generation: Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Say `worker_exiting` and leave."""

    command: Literal["stop"] = "stop"


Command = Load | Run | Stop

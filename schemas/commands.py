"""Commands from the supervisor to a worker: one JSON object per line on standard input.

A worker gets exactly one `load`, then any number of `run`s, then `stop` (or end of file, which
means the same). Commands come from our own supervisor, so a worker trusts their shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .generation import Generation
from .load_spec import LoadSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(LoadSpec):
    """Fetch (if necessary) and load one model with the options of `LoadSpec`.

    `model` is a hub id, the absolute path of a local folder when `local` is true, or the model's
    name at the server. `memory_bytes` is the memory limit of the worker and its children. With
    `fetch_only` the model's files are fetched and checked, and nothing is loaded. `server_wait_s`
    is how long one run may wait for a server that is busy, loading or away.
    """

    command: Literal["load"] = "load"
    model: str
    local: bool
    revision: str | None = None
    memory_bytes: int | None = None
    fetch_only: bool = False
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

"""The interface of an engine to the rest of the worker, and the choice of one.

An engine knows one model library and nothing of pipes, runs or the supervisor. There is one
engine in a process, ever: mlx-vlm replaces `AutoProcessor.from_pretrained` once imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from schemas.commands import Load, Turn
from schemas.engines import AUTO, DEFAULT, engine_info, engines, may_be_chosen
from schemas.events import FinishReason, Loaded
from schemas.generation import Generation
from schemas.shared.packages import MissingPackages, describe_missing, install_command

from .checkpoint import Checkpoint
from .error_classes import WorkerFailure
from .families import FamilyModule
from .quantisation import engine_reads
from .reasoning_parser import ReasoningParser
from .timing import EventSink, RunTimer


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """Bytes on the accelerator, by the library's own count; None if unknown.

    `allocated` and `reserved` are now, the peaks are since `reset_device_peak`; `method` names
    the calls they come from.
    """

    allocated: int | None = None
    reserved: int | None = None
    peak_allocated: int | None = None
    peak_reserved: int | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedAnswer:
    """One finished answer. `raw_text` is the generated ids decoded, special tokens kept.

    An engine sets `text` to what it generated, and `reasoning` only to what it received apart from
    that; `reasoning.split_reasoning` makes of `text` the answer alone, cleaned.
    """

    raw_text: str
    text: str
    finish_reason: FinishReason
    reasoning: str | None = None
    notes: list[str] = field(default_factory=list)


class Engine(Protocol):
    """One library's way to load a model and make it answer. All calls but `device_memory`
    come from the main thread, in this order: `load` once, then `generate` many times.

    `load` sets `reasoning_parser`, which reads the answers of the model.
    """

    reasoning_parser: ReasoningParser

    def load(
        self, checkpoint: Checkpoint, family: FamilyModule, ask: Load, emit: EventSink
    ) -> Loaded:
        """Load the local folder `checkpoint`; never touch the network (but for remote engines).

        Import the library here, and time with `measure.LoadClock`. Raises `WorkerFailure`, or
        whatever the library raises (classed by `failure.classify`).
        """

    def sees_videos(self, turns: Sequence[Turn]) -> bool:
        """Whether the loaded model takes the videos of these turns as such. If not, `generate`
        is given their frames as images.
        """

    def generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer
    ) -> GeneratedAnswer:
        """Answer the last of `turns` (a user's; roles alternate, earlier answers included).

        Call `meter.preprocessed` when the inputs are ready and `meter.token` for each token;
        the caller calls `meter.finish` with the answer's raw text.
        """

    def device_memory(self) -> DeviceMemory:
        """Numbers only: called from another thread, so take no lock and wait for nothing."""

    def reset_device_peak(self) -> None:
        """Let the peaks start again from what is allocated now."""

    def free_cached_memory(self) -> None:
        """Give memory back after a failed run; the model stays loaded."""


def choose_engine(checkpoint: Checkpoint, family: FamilyModule, ask: Load) -> str:
    """The engine's name: the one asked for, else the best that is installed and can load this.

    Weights in an engine's own format need that engine. A family prefers the engine it names first,
    where that may be chosen on this system.
    """
    if ask.engine != AUTO:
        return ask.engine
    if checkpoint.weights_format is not None:
        return next(
            name
            for name, info in engines().items()
            if info.weights_format == checkpoint.weights_format
        )
    for name in family.FAMILY.engines:
        info = engines().get(name)
        if info is None or not may_be_chosen(info) or missing_packages(name):
            continue
        if engine_reads(checkpoint.config, name):
            return name
    return DEFAULT


def missing_packages(engine: str) -> list[str]:
    """Import names the engine needs and this environment lacks; imports nothing."""
    packages = engines()[engine].packages if engine in engines() else ()
    return [name for name in packages if not is_installed(name)]


def is_installed(package: str) -> bool:
    """Whether an import name can be found; imports nothing of it but its parents."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def missing_engine(engine: str, *also: str) -> list[MissingPackages]:
    """The packages the engine lacks here, and others that its extra installs, or none."""
    absent = [*missing_packages(engine), *(name for name in also if not is_installed(name))]
    names = tuple(dict.fromkeys(absent))
    extra = engine_info(engine).extra
    return [MissingPackages(f"the {engine} engine needs", names, extra)] if names else []


def check_installed(missing: Sequence[MissingPackages]) -> None:
    """Raises `missing_package` with all of them, and with the line that installs them."""
    if not missing:
        return
    message = describe_missing(missing, sys.executable)
    raise WorkerFailure(
        "missing_package",
        message[0].upper() + message[1:],
        f"Install it where the worker runs: {install_command(missing, sys.executable)};"
        " where the model names requirements, name it among them.",
    )


def make_engine(name: str) -> Engine:
    """Import the engine's module (not yet its library) and make its one instance."""
    if name not in engines():
        raise WorkerFailure("unsupported", f"No engine named {name!r} runs in a worker.")
    info = engines()[name]
    check_installed(missing_engine(name))
    module, attribute = info.implementation.split(":")
    return cast(Engine, getattr(importlib.import_module(module), attribute)())

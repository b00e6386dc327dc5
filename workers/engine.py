"""What every engine is to the rest of the worker, and how one is chosen.

An engine knows one model library and nothing of pipes, runs or the supervisor. There is one
engine in a process, ever: mlx-vlm replaces `AutoProcessor.from_pretrained` once imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from schemas.commands import Load, Turn
from schemas.events import FinishReason, Loaded
from schemas.generation import Generation

from .checkpoint import Checkpoint
from .error_classes import WorkerFailure
from .families import FamilyModule
from .timing import EventSink, RunTimer

ENGINES = {
    "transformers": "workers.engines.transformers:TransformersEngine",
    "mlx": "workers.engines.mlx:MlxEngine",
    "openai": "workers.engines.openai:OpenAIEngine",
}
REMOTE = ("openai",)  # the model is a server's: nothing is fetched, no folder is read
PACKAGES = {
    "transformers": ("torch", "transformers", "huggingface_hub", "safetensors", "PIL"),
    "mlx": ("mlx", "mlx_vlm", "PIL"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """Bytes on the accelerator, by the library's own count; None where it can't tell.

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
    """One finished answer. `raw_text` is the generated ids decoded, special tokens kept."""

    raw_text: str
    text: str
    finish_reason: FinishReason
    notes: list[str] = field(default_factory=list)


class Engine(Protocol):
    """One library's way to load a model and make it answer. All calls but `device_memory`
    come from the main thread, in this order: `load` once, then `generate` many times.
    """

    def load(
        self, checkpoint: Checkpoint, family: FamilyModule, ask: Load, emit: EventSink
    ) -> Loaded:
        """Load the local folder `checkpoint`; never touch the network (but for `REMOTE` ones).

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

    MLX weights need mlx. On Apple Silicon a family may prefer mlx by naming it first.
    """
    if ask.engine != "auto":
        return ask.engine
    if checkpoint.mlx_weights:
        return "mlx"
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    for name in family.FAMILY.engines:
        if name in ENGINES and (name != "mlx" or apple) and not missing_packages(name):
            return name
    return "transformers"


def missing_packages(engine: str) -> list[str]:
    """Import names the engine needs and this environment lacks; imports nothing."""
    return [name for name in PACKAGES.get(engine, ()) if importlib.util.find_spec(name) is None]


def make_engine(name: str) -> Engine:
    """Import the engine's module (not yet its library) and make its one instance."""
    if name not in ENGINES:
        raise WorkerFailure("unsupported", f"No engine named {name!r} runs in a worker.")
    missing = missing_packages(name)
    if missing:
        raise WorkerFailure(
            "missing_package",
            f"The {name} engine needs {', '.join(missing)}, not installed in {sys.executable}.",
            f"Install it there: pip install 'vlmsweep[{name}]'; where the model names requirements,"
            " name it among them.",
        )
    module, attribute = ENGINES[name].split(":")
    return cast(Engine, getattr(importlib.import_module(module), attribute)())

"""Any vision-language model that mlx-vlm knows, as an `Engine`.

It joins the parts in this folder: `device` (device and dtype), `hooks` (how this family is loaded
and prompted) and `prompt` (the inputs). Token counts and times are the meter's, never
those that mlx-vlm reports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from schemas.commands import Load, Turn
from schemas.events import Loaded, Progress
from schemas.generation import Generation

from ...checkpoint import Checkpoint
from ...detokenize import StreamDecoder
from ...engine import GeneratedAnswer
from ...error_classes import WorkerFailure
from ...families import FamilyModule, hooks_for
from ...generation_config import StopStrings, stop_strings, unused_notes
from ...memory_check import check_memory, own_dtype
from ...timing import EventSink, LoadClock, RunTimer
from ..in_process import InProcessEngine, versions

if TYPE_CHECKING:
    from .device import Device
    from .hooks import ModelAdapter

LIBRARIES = (
    "mlx",
    "mlx-metal",
    "mlx-cpu",
    "mlx-cuda",
    "mlx-vlm",
    "transformers",
    "tokenizers",
    "numpy",
    "pillow",
)
# Settings of a checkpoint that this engine honours.
USED_KEYS = {"repetition_penalty", "stop_strings", "temperature", "top_k", "top_p"}


class MlxEngine(InProcessEngine):
    """See `workers.engine.Engine` for what each method promises."""

    _hooks: ModelAdapter
    _device: Device

    def load(
        self, checkpoint: Checkpoint, family: FamilyModule, ask: Load, emit: EventSink
    ) -> Loaded:
        clock = LoadClock()
        with clock.part("import"):
            emit(Progress(phase="load", message="importing mlx and mlx-vlm"))
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
            check_backend()
            from .device import choose_device

            device = self._device = choose_device(ask.device)
            dtype, _ = device.dtype(ask.dtype, own_dtype(checkpoint))
            # Without memory MLX crashes or hangs on a CPU, in threads of its own.
            check_memory(checkpoint, ask, dtype, device.free(), host=device.name == "cpu")
            from .hooks import ModelAdapter
        hooks = self._hooks = (hooks_for(family, "mlx") or ModelAdapter)(checkpoint, ask, device)
        with clock.part("processor"):
            emit(Progress(phase="load", message="loading the processor"))
            hooks.load_processor()
            self._choose_parser(hooks.tokenizer, hooks.processor, hooks.markers())
        with clock.part("weights"):
            emit(Progress(phase="load", message="loading the weights"))
            hooks.load_model()
        self._refresh_memory()
        return Loaded(
            engine="mlx",
            family=family.FAMILY.name,
            model_class=f"{type(hooks.model).__module__}.{type(hooks.model).__name__}",
            processor_class=type(hooks.processor).__name__,
            device=device.name,
            device_name=device.title,
            dtype=hooks.dtype,
            dtype_reason=hooks.dtype_reason,
            parameters=hooks.count_parameters(),
            versions=versions(LIBRARIES),
            notes=hooks.notes,
            device_bytes=self._memory.allocated,
            device_reserved_bytes=self._memory.reserved,
            **dict[str, Any](clock.figures()),
        )

    def sees_videos(self, turns: Sequence[Turn]) -> bool:
        return False  # mlx-vlm's processors take videos of a few models, which we do not ask yet

    def generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer
    ) -> GeneratedAnswer:
        hooks = self._hooks
        inputs = hooks.prepare(turns)
        meter.mark_inputs_ready(inputs.input_tokens, inputs.image_tokens, inputs.tiles)
        self._refresh_memory()
        own = hooks.generation_config()
        decoder, ids, stopped = StreamDecoder(hooks.decode), [], False
        stops = StopStrings(stop_strings(own.get("stop_strings")))
        with closing(hooks.generate(inputs, generation)) as tokens:
            for token in tokens:
                ids.append(token)
                piece = decoder.add(token)
                meter.token(piece, visible=self.reasoning_parser.visible(piece))
                self._refresh_memory_throttled()
                if stopped := stops.found_in(piece):
                    break
        self._refresh_memory()
        raw = hooks.decode(ids)
        ended = stopped or (bool(ids) and ids[-1] in hooks.stop_token_ids())
        full = len(ids) >= generation.max_new_tokens
        notes = [*inputs.notes, *unused_notes(own, USED_KEYS, generation.do_sample)]
        return self._answer(raw, full, ended, notes)


def check_backend() -> None:
    """Raises `missing_package` where mlx is installed without a backend, as on Linux by itself."""
    try:
        import mlx.core  # noqa: F401
    except ImportError as error:
        raise WorkerFailure(
            "missing_package",
            f"mlx is installed but can't be used: {error}",
            f"Install its backend: {sys.executable} -m pip install 'mlx[cpu]' (or mlx[cuda])",
        ) from error

"""Any image-text-to-text model of the transformers library, as an `Engine`.

It joins the parts in this folder: `device` (device and dtype), `hooks` (how this family is loaded
and prompted), `prompt` (the inputs) and `streamer` (the outputs).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from schemas.commands import Load, Turn
from schemas.events import Loaded, Progress
from schemas.generation import Generation

from ...checkpoint import Checkpoint
from ...engine import GeneratedAnswer
from ...families import FamilyModule, hooks_for
from ...memory_check import check_memory
from ...timing import EventSink, LoadClock, RunTimer
from ..in_process import InProcessEngine, versions

if TYPE_CHECKING:
    from .adapter import ModelAdapter
    from .device import Device

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "huggingface_hub",
    "safetensors",
    "accelerate",
    "pillow",
)


class TransformersEngine(InProcessEngine):
    """See `workers.engine.Engine` for what each method promises."""

    _hooks: ModelAdapter
    _device: Device

    def load(
        self, checkpoint: Checkpoint, family: FamilyModule, ask: Load, emit: EventSink
    ) -> Loaded:
        clock = LoadClock()
        with clock.part("import"):
            emit(Progress(phase="load", message="importing torch and transformers"))
            # Forked tokenizer threads can deadlock; one answer at a time gains nothing by them.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
            from .device import choose_device

            device = self._device = choose_device(ask.device, ask.dtype)
            check_memory(
                checkpoint, ask, device.dtype_name, device.free(), not device.loads_directly
            )
            from .adapter import ModelAdapter
        hooks = self._hooks = (hooks_for(family, "transformers") or ModelAdapter)(
            checkpoint, ask, device
        )
        with clock.part("processor"):
            emit(Progress(phase="load", message="loading the processor"))
            hooks.load_processor()
            self._choose_parser(hooks.tokenizer, hooks.processor, hooks.markers())
        with clock.part("weights"):
            emit(Progress(phase="load", message="loading the weights"))
            hooks.load_model()
            device.synchronise()
        self._refresh_memory()
        return self._loaded(family.FAMILY.name, clock)

    def _loaded(self, family: str, clock: LoadClock) -> Loaded:
        """The event that reports the loaded model."""
        hooks, device = self._hooks, self._device
        return Loaded(
            engine="transformers",
            family=family,
            model_class=type(hooks.model).__name__,
            processor_class=type(hooks.processor).__name__,
            device=device.name,
            device_name=device.title,
            dtype=device.dtype_name,
            dtype_reason=device.dtype_reason,
            attention=getattr(hooks.model.config, "_attn_implementation", None),
            parameters=sum(each.numel() for each in hooks.model.parameters()),
            versions=versions(LIBRARIES),
            notes=hooks.notes,
            device_bytes=self._memory.allocated,
            device_reserved_bytes=self._memory.reserved,
            **dict[str, Any](clock.figures()),
        )

    def sees_videos(self, turns: Sequence[Turn]) -> bool:
        return self._hooks.sees_videos(turns)

    def generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer
    ) -> GeneratedAnswer:
        from .streamer import TokenStreamer

        hooks = self._hooks
        inputs = hooks.prepare(turns)
        meter.mark_inputs_ready(inputs.input_tokens, inputs.image_tokens, inputs.tiles)
        self._refresh_memory()
        streamer = TokenStreamer(
            hooks.decode, meter, self.reasoning_parser.visible, self._refresh_memory_throttled
        )
        ends = hooks.generate(inputs, generation, streamer)
        self._refresh_memory()
        raw = hooks.decode(streamer.ids) if streamer.ids else streamer.written
        ended = streamer.ended or (bool(streamer.ids) and streamer.ids[-1] in ends)
        ended = ended or any(text in raw for text in hooks.stop_strings)
        full = streamer.count >= generation.max_new_tokens
        return self._answer(raw, full, ended, inputs.notes)

"""Any image-text-to-text model of the transformers library, as an `Engine`.

It joins the parts beside it: `device` (where and in which numbers), `hooks` (how this family is
loaded and asked), `prompt` (what goes in) and `streamer` (what comes out).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from schemas.commands import Load, Turn
from schemas.events import Loaded, Progress
from schemas.generation import Generation

from ...checkpoint import Checkpoint
from ...engine import Answer, DeviceMemory
from ...families import FamilyModule, hooks_for
from ...measure import LoadClock, Meter, Tell
from ...text import Cleaner, special_tokens

if TYPE_CHECKING:
    from .device import Device
    from .hooks import Hooks

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "huggingface_hub",
    "safetensors",
    "accelerate",
    "pillow",
)
MEMORY_EVERY_S = 0.1


class TransformersEngine:
    """See `workers.engine.Engine` for what each method promises."""

    def __init__(self) -> None:
        self._memory = DeviceMemory()
        self._memory_at = 0.0
        self._hooks: Hooks
        self._device: Device
        self._cleaner: Cleaner

    def load(self, checkpoint: Checkpoint, family: FamilyModule, ask: Load, tell: Tell) -> Loaded:
        clock = LoadClock()
        with clock.part("import"):
            tell(Progress(phase="load", message="importing torch and transformers"))
            # Forked tokenizer threads can deadlock; one answer at a time gains nothing by them.
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
            from .device import choose_device
            from .hooks import Hooks
        device = self._device = choose_device(ask.device, ask.dtype)
        hooks = self._hooks = (hooks_for(family, "transformers") or Hooks)(checkpoint, ask, device)
        with clock.part("processor"):
            tell(Progress(phase="load", message="loading the processor"))
            hooks.load_processor()
            special = special_tokens(hooks.tokenizer)
            self._cleaner = Cleaner(special, markers=hooks.markers())
        with clock.part("weights"):
            tell(Progress(phase="load", message="loading the weights"))
            hooks.load_model()
            device.synchronise()
        self._look()
        return Loaded(
            engine="transformers",
            family=family.FAMILY.name,
            model_class=type(hooks.model).__name__,
            processor_class=type(hooks.processor).__name__,
            device=device.name,
            device_name=device.title,
            dtype=device.dtype_name,
            dtype_reason=device.dtype_reason,
            attention=getattr(hooks.model.config, "_attn_implementation", None),
            parameters=sum(each.numel() for each in hooks.model.parameters()),
            versions=versions(),
            notes=hooks.notes,
            device_bytes=self._memory.allocated,
            device_reserved_bytes=self._memory.reserved,
            **_only_floats(clock.figures()),
        )

    def sees_videos(self, turns: Sequence[Turn]) -> bool:
        return self._hooks.sees_videos(turns)

    def generate(self, turns: Sequence[Turn], generation: Generation, meter: Meter) -> Answer:
        from .streamer import TokenStreamer

        hooks = self._hooks
        inputs = hooks.prepare(turns)
        meter.preprocessed(inputs.input_tokens, inputs.image_tokens, inputs.tiles)
        self._look()
        streamer = TokenStreamer(hooks.decode, meter, self._cleaner.visible, self._look_sometimes)
        ends = hooks.generate(inputs, generation, streamer)
        self._look()
        raw = hooks.decode(streamer.ids) if streamer.ids else streamer.written
        ended = streamer.ended or (bool(streamer.ids) and streamer.ids[-1] in ends)
        full = streamer.count >= generation.max_new_tokens
        return Answer(
            raw_text=raw,
            text=self._cleaner.clean(raw),
            finish_reason="length" if full and not ended else "stop",
            notes=inputs.notes,
        )

    def device_memory(self) -> DeviceMemory:
        # What the main thread last saw: the allocator's lock may be held by a hanging device.
        return self._memory

    def reset_device_peak(self) -> None:
        self._device.reset_peak()
        self._look()

    def empty_caches(self) -> None:
        self._device.empty_cache()
        self._look()

    def _look(self) -> None:
        self._memory = self._device.memory()
        self._memory_at = time.monotonic()

    def _look_sometimes(self) -> None:
        if time.monotonic() - self._memory_at >= MEMORY_EVERY_S:
            self._look()


def versions() -> dict[str, str]:
    """Versions of the libraries that decide what the answers are."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _only_floats(figures: dict[str, float]) -> dict[str, Any]:
    return dict(figures)

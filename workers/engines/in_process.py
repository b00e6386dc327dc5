"""Base of the engines that hold a model in this process: samples its device's memory.

How memory is counted is each library's `Device`; this class decides when to sample it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from ..detokenize import TextCleaner, special_tokens
from ..engine import DeviceMemory, GeneratedAnswer
from ..reasoning_parser import ReasoningParser, parser_for

MEMORY_EVERY_S = 0.1


class DeviceMemoryProbe(Protocol):
    """The part of a library's `Device` that is needed here."""

    def memory(self) -> DeviceMemory:
        """The library's own counts."""

    def reset_peak(self) -> None:
        """Resets the peaks."""

    def empty_cache(self) -> None:
        """Releases the allocator's cached memory."""


class InProcessEngine:
    """The half of `workers.engine.Engine` that is the same for every library."""

    _device: DeviceMemoryProbe
    reasoning_parser: ReasoningParser

    def __init__(self) -> None:
        self._memory = DeviceMemory()
        self._memory_at = 0.0

    def device_memory(self) -> DeviceMemory:
        # The main thread's last sample: a hanging device may hold the allocator's lock.
        return self._memory

    def reset_device_peak(self) -> None:
        self._device.reset_peak()
        self._refresh_memory()

    def free_cached_memory(self) -> None:
        self._device.empty_cache()
        self._refresh_memory()

    def _refresh_memory(self) -> None:
        self._memory = self._device.memory()
        self._memory_at = time.monotonic()

    def _refresh_memory_throttled(self) -> None:
        if time.monotonic() - self._memory_at >= MEMORY_EVERY_S:
            self._refresh_memory()

    def _choose_parser(self, tokenizer: Any, processor: Any, prompt_end: list[str]) -> None:
        """Sets how this model's answers are read; `prompt_end` comes before them."""
        cleaner = TextCleaner(special_tokens(tokenizer), prompt_end)
        self.reasoning_parser = parser_for(cleaner, tokenizer, processor, prompt_end)

    def _answer(self, raw: str, full: bool, ended: bool, notes: list[str]) -> GeneratedAnswer:
        """An answer of `raw` text; `full` when the limit was reached, `ended` at an end token."""
        return GeneratedAnswer(
            raw_text=raw,
            text=raw,
            finish_reason="length" if full and not ended else "stop",
            notes=notes,
        )


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of the libraries that decide what the answers are, where installed."""
    found = {}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

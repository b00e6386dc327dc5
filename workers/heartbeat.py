"""A sign of life each second, from a thread of its own.

It reads one word and a few numbers; it takes no lock of a model library and never waits for a
device, so it beats on while the main thread is deep in a kernel. It can't tell that the main
thread makes progress: the supervisor's deadlines do that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from schemas.events import Heartbeat, WorkerPhase

from .engine import DeviceMemory
from .timing import EventSink

EVERY_S = 1.0


class Heart:
    """Knows the worker's phase and tells it each `every_s` seconds once started."""

    def __init__(self, emit: EventSink, every_s: float = EVERY_S) -> None:
        self.phase: WorkerPhase = "start"
        self.device_memory: Callable[[], DeviceMemory] = DeviceMemory
        self._emit, self._every_s = emit, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def enter(self, phase: WorkerPhase) -> None:
        """The main thread is in `phase` from now on."""
        self.phase = phase

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """No beat is sent after this returns."""
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                memory = self.device_memory()
            except Exception:  # a library in the middle of its own import or failure
                memory = DeviceMemory()
            self._emit(
                Heartbeat(
                    phase=self.phase,
                    device_bytes=memory.allocated,
                    device_reserved_bytes=memory.reserved,
                )
            )

"""Sends a heartbeat each second from its own thread, and runs one timer function.

It takes no lock of a model library and never waits for a device, so it continues while the main
thread runs a kernel. It does not show that the main thread makes progress: the supervisor's
deadlines check that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from schemas.events import Heartbeat, WorkerPhase

from .engine import DeviceMemory
from .timing import EventSink

EVERY_S = 1.0


class Heart:
    """Emits the worker's phase every `every_s` seconds once started."""

    def __init__(self, emit: EventSink, every_s: float = EVERY_S) -> None:
        self.phase: WorkerPhase = "start"
        self.device_memory: Callable[[], DeviceMemory] = DeviceMemory
        self._emit, self._every_s = emit, every_s
        self._timer: Callable[[], None] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def enter(self, phase: WorkerPhase) -> None:
        """The main thread is in `phase` from now on."""
        self.phase = phase

    def call(self, timer: Callable[[], None] | None) -> None:
        """Call `timer` before each heartbeat from now on; None calls nothing."""
        self._timer = timer

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """No beat is sent after this returns."""
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._every_s):
            if (timer := self._timer) is not None:
                timer()
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

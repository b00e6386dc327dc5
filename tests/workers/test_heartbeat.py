"""The heart beats from its own thread, whatever the main one does."""

from __future__ import annotations

import threading
from typing import Any

from tests.helpers.waiting import WAIT_S
from workers.engine import DeviceMemory
from workers.heartbeat import Heart


def test_heartbeats_report_phase_and_memory() -> None:
    emitted: list[Any] = []
    enough = threading.Event()

    def emit(event: Any) -> None:
        emitted.append(event)
        if len(emitted) == 3:
            enough.set()

    heart = Heart(emit, every_s=0.001)
    heart.device_memory = lambda: DeviceMemory(allocated=5, reserved=9)
    heart.enter("generate")
    heart.start()
    assert enough.wait(WAIT_S)
    heart.stop()
    count = len(emitted)
    assert (emitted[-1].phase, emitted[-1].device_bytes, emitted[-1].device_reserved_bytes) == (
        "generate",
        5,
        9,
    )
    assert len(emitted) == count


def test_failing_library_does_not_stop_the_heartbeat() -> None:
    beat = threading.Event()
    heart = Heart(lambda event: beat.set(), every_s=0.001)

    def broken() -> DeviceMemory:
        raise RuntimeError("half imported")

    heart.device_memory = broken
    heart.start()
    assert beat.wait(WAIT_S)
    heart.stop()

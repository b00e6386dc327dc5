"""Text that was generated before a failure or a stall, whatever the engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from schemas.commands import Run, Turn
from schemas.events import Text
from schemas.generation import Generation
from tests.helpers.waiting import WAIT_S
from workers.conversation import answer_all
from workers.engine import DeviceMemory, Engine, GeneratedAnswer
from workers.error_classes import WorkerFailure
from workers.heartbeat import Heart
from workers.reasoning_parser import ReasoningParser
from workers.timing import RunTimer

RUN = Run(run=1, turns=(Turn(text="What?"),), generation=Generation())


class ScriptedEngine:
    """Generates two pieces, then does what it is given."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.then = then
        self.reasoning_parser = ReasoningParser()

    def sees_videos(self, turns: Sequence[Turn]) -> bool:
        return False

    def device_memory(self) -> DeviceMemory:
        return DeviceMemory()

    def generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer
    ) -> GeneratedAnswer:
        meter.mark_inputs_ready(3)
        meter.token("A red")
        meter.token(" cir")
        self.then()
        return GeneratedAnswer(raw_text="A red cir", text="A red cir", finish_reason="stop")


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def texts(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


@pytest.mark.parametrize(
    "error", [WorkerFailure("server_error", "boom"), RuntimeError("boom"), SystemExit(2)]
)
def test_text_before_a_failure_is_emitted(error: BaseException) -> None:
    events: list[Any] = []
    engine = cast(Engine, ScriptedEngine(failing(error)))
    with pytest.raises(type(error)):
        answer_all(RUN, engine, events.append, lambda phase: None)
    assert texts(events) == "A red cir"


def test_text_before_a_stall_is_emitted_by_the_heartbeat() -> None:
    events: list[Any] = []
    complete = threading.Event()

    def emit(event: Any) -> None:
        events.append(event)
        if texts(events) == "A red cir":
            complete.set()

    stalled: list[bool] = []
    engine = cast(Engine, ScriptedEngine(lambda: stalled.append(complete.wait(WAIT_S))))
    heart = Heart(emit, every_s=0.01)
    heart.start()
    answer_all(RUN, engine, emit, heart.enter, heart.call)
    heart.stop()
    assert stalled == [True]
    assert texts(events) == "A red cir"

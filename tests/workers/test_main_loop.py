"""A worker's life with an engine made up for the test: no failed run takes the others along."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load, Run, Stop, Turn
from schemas.events import Loaded
from schemas.generation import Generation
from workers import main_loop
from workers.checkpoint import Checkpoint
from workers.engine import DeviceMemory, GeneratedAnswer
from workers.fetch import FetchedModel
from workers.reasoning_parser import ReasoningParser
from workers.timing import RunTimer


class FakeEngine:
    """Fails as the prompt says, else repeats it."""

    def __init__(self) -> None:
        self.emptied = self.reset = 0
        self.reasoning_parser = ReasoningParser()

    def load(self, *_: Any) -> Loaded:
        return Loaded(
            engine="fake",
            family="fake",
            model_class="Fake",
            device="cpu",
            dtype="float32",
            dtype_reason="",
            load_s=0.0,
        )

    def generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer
    ) -> GeneratedAnswer:
        text = turns[-1].text
        failures = {"memory": MemoryError("host"), "exit": SystemExit(1), "bug": KeyError("x")}
        if text in failures:
            raise failures[text]
        meter.mark_inputs_ready(len(text))
        meter.token(text)
        return GeneratedAnswer(raw_text=text, text=text, finish_reason="stop")

    def device_memory(self) -> DeviceMemory:
        return DeviceMemory(peak_allocated=5, peak_reserved=7, method="counted")

    def reset_device_peak(self) -> None:
        self.reset += 1

    def free_cached_memory(self) -> None:
        self.emptied += 1


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine()
    monkeypatch.setattr(main_loop, "fetch", lambda ask, emit: FetchedModel(folder=Path("x")))
    monkeypatch.setattr(main_loop, "read_config", lambda folder: {})
    monkeypatch.setattr(
        main_loop, "read_checkpoint", lambda folder, **_: Checkpoint(folder=folder, config={})
    )
    monkeypatch.setattr(main_loop, "check_environment", lambda *_: None)
    monkeypatch.setattr(main_loop, "make_engine", lambda name: engine)
    monkeypatch.setattr(main_loop, "go_offline", lambda: None)
    return engine


def live(*commands: Load | Run | Stop) -> tuple[int, list[Any]]:
    lines = b"".join(json.dumps(asdict(command)).encode() + b"\n" for command in commands)
    emitted: list[Any] = []
    return main_loop.serve(io.BytesIO(lines), emitted.append), emitted


def run(number: int, *texts: str) -> Run:
    turns = tuple(Turn(text=text) for text in texts)
    return Run(run=number, turns=turns, generation=Generation())


LOAD = Load(model="x", local=True)


def test_failed_run_does_not_affect_others(engine: FakeEngine) -> None:
    asked = ["a", "memory", "exit", "bug", "b"]
    runs = [run(number, text) for number, text in enumerate(asked)]
    code, emitted = live(LOAD, *runs, Stop())
    outcomes = [
        (event.run, getattr(event, "error_class", "ok"))
        for event in emitted
        if event.event in ("run_finished", "error")
    ]
    assert code == 0
    assert outcomes == [
        (0, "ok"),
        (1, "out_of_memory"),
        (2, "internal"),
        (3, "internal"),
        (4, "ok"),
    ]
    assert engine.emptied == 1
    assert engine.reset == len(runs)
    assert emitted[-1].runs == len(runs)


def test_memory_peak_is_per_run(engine: FakeEngine) -> None:
    _, emitted = live(LOAD, run(1, "a"))
    (finished,) = [event for event in emitted if event.event == "run_finished"]
    assert (finished.peak_device_bytes, finished.peak_device_reserved_bytes) == (5, 7)
    assert finished.peak_device_method == "counted"


def test_turns_are_answered_in_order(engine: FakeEngine) -> None:
    _, emitted = live(LOAD, run(1, "a", "b", "c"))
    (finished,) = [event for event in emitted if event.event == "run_finished"]
    assert [turn["text"] for turn in finished.transcript] == ["a", "a", "b", "b", "c", "c"]
    steps = [event.done for event in emitted if event.event == "progress"]
    assert steps == [1.0, 2.0]
    assert [event.event for event in emitted].count("first_token") == 1


def test_run_before_a_load_is_a_protocol_failure(engine: FakeEngine) -> None:
    code, emitted = live(run(1, "a"))
    assert (code, emitted[-1].error_class, emitted[-1].run) == (3, "protocol", None)

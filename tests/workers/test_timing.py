"""Every figure, by a clock that the test moves."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from schemas.events import FirstToken, Text, Waiting
from workers.error_classes import WorkerFailure
from workers.timing import LoadClock, RunTimer


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_answer_times_are_measured(clock: Clock) -> None:
    emitted: list[Any] = []
    phases: list[str] = []
    meter = RunTimer(run=3, images=1, emit=emitted.append, enter=phases.append, clock=clock)
    clock.now += 2
    meter.mark_inputs_ready(40, image_tokens=30, tiles=2)
    for seconds, piece in [(4, ""), (1, " \n"), (0.5, "Hi"), (0.25, " you"), (0.25, "<end>")]:
        clock.now += seconds
        meter.token(piece, visible=bool(piece.strip()) and piece != "<end>")
    clock.now += 1
    figures = meter.finish(" \nHi you<end>")
    assert figures.latency_s == 9
    assert figures.preprocess_s == 2
    assert figures.ttft_s == 7.5
    assert figures.prompt_tps == 40 / 4
    assert figures.generation_tps == 4 / 2
    assert (figures.input_tokens, figures.image_tokens, figures.output_tokens) == (40, 30, 5)
    assert phases == ["prefill", "generate"]
    (first,) = [event for event in emitted if isinstance(event, FirstToken)]
    assert (first.ttft_s, first.preprocess_s, first.image_tokens) == (7.5, 2, 30)
    assert "".join(event.text for event in emitted if isinstance(event, Text)) == " \nHi you<end>"


def test_single_token_has_no_rate(clock: Clock) -> None:
    meter = RunTimer(run=1, images=0, emit=lambda event: None, clock=clock)
    meter.mark_inputs_ready(4)
    clock.now += 1
    meter.token("a")
    figures = meter.finish("a")
    assert figures.generation_tps is None
    assert figures.prompt_tps == 4


def test_invisible_text_has_no_first_token(clock: Clock) -> None:
    emitted: list[Any] = []
    meter = RunTimer(run=1, images=0, emit=emitted.append, clock=clock)
    meter.mark_inputs_ready(4)
    meter.token("<end>", visible=False)
    assert meter.finish("<end>").ttft_s is None
    assert not [event for event in emitted if isinstance(event, FirstToken)]


def test_text_is_sent_ten_times_per_second_without_loss(clock: Clock) -> None:
    emitted: list[Any] = []
    meter = RunTimer(run=1, images=0, emit=emitted.append, clock=clock)
    meter.mark_inputs_ready(4)
    for number in range(1000):
        clock.now += 0.001
        meter.token(f"{number},")
    raw = "".join(f"{number}," for number in range(1000))
    meter.finish(raw + "held back")
    texts = [event for event in emitted if isinstance(event, Text)]
    assert len(texts) <= 11
    assert "".join(event.text for event in texts) == raw + "held back"
    assert texts[-1].output_tokens == 1000


def test_ignored_image_is_a_failure(clock: Clock) -> None:
    meter = RunTimer(run=1, images=2, emit=lambda event: None, clock=clock)
    with pytest.raises(WorkerFailure) as failure:
        meter.mark_inputs_ready(6, image_tokens=0)
    assert failure.value.error_class == "image_ignored"
    RunTimer(run=1, images=2, emit=lambda event: None).mark_inputs_ready(6, image_tokens=None)


def test_earlier_turns_emit_no_text(clock: Clock) -> None:
    emitted: list[Any] = []
    meter = RunTimer(run=1, images=0, emit=emitted.append, clock=clock, silent=True)
    meter.mark_inputs_ready(4)
    meter.token("a")
    assert meter.finish("a").output_tokens == 1
    assert emitted == []


def test_load_times_are_measured_per_part(clock: Clock) -> None:
    load = LoadClock(clock)
    with load.part("import"):
        clock.now += 3
    clock.now += 1
    with load.part("weights"):
        clock.now += 2
    assert load.figures() == {"load_s": 6, "import_s": 3, "weights_s": 2}


def test_text_of_a_stalled_answer_is_sent_by_the_heartbeat_thread(clock: Clock) -> None:
    sent: list[Any] = []
    meter = RunTimer(run=1, images=0, emit=sent.append, clock=clock)
    meter.mark_inputs_ready(3)
    meter.token("A red")
    meter.token(" cir")
    timer = threading.Thread(target=meter.flush)
    timer.start()
    timer.join()
    assert "".join(e.text for e in sent if isinstance(e, Text)) == "A red cir"
    meter.flush()  # nothing is sent twice
    meter.token("cle.")
    meter.finish("A red circle.")
    assert "".join(e.text for e in sent if isinstance(e, Text)) == "A red circle."


def test_repeated_request_is_measured_separately(clock: Clock) -> None:
    sent: list[Any] = []
    phases: list[str] = []
    meter = RunTimer(run=1, images=0, emit=sent.append, enter=phases.append, clock=clock)
    clock.now += 1
    meter.mark_inputs_ready(None)
    meter.wait_for_server("busy", "429", 1, 30.0)
    clock.now += 30
    meter.add_wait(30.0)
    meter.restart()
    clock.now += 2
    meter.token("Red.", None)
    figures = meter.finish("Red.")
    assert (figures.latency_s, figures.ttft_s, figures.preprocess_s) == (2, 2, 1)
    assert meter.waited_s == 30
    assert phases == ["prefill", "waiting", "prefill", "generate"]
    (waiting,) = (e for e in sent if isinstance(e, Waiting))
    assert (waiting.reason, waiting.retry_in_s, waiting.run) == ("429", 30.0, 1)

"""Answers one run: a single question, or several turns that the model answers in order.

The figures of a run of several turns are those of its last answer, except `latency_s`, which
is the sum over all turns. Earlier answers are emitted as progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

from schemas.commands import Run, Turn
from schemas.events import Progress, RunFinished, WorkerPhase
from schemas.generation import Generation

from . import video
from .engine import Engine, GeneratedAnswer
from .error_classes import WorkerFailure
from .reasoning import split_reasoning, split_text_of_failure
from .timing import EventSink, RunMetrics, RunTimer


def answer_all(
    ask: Run,
    engine: Engine,
    emit: EventSink,
    enter: Callable[[WorkerPhase], None],
    call_regularly: Callable[[Callable[[], None]], None] = lambda timer: None,
) -> RunFinished:
    """Answer every open user turn of `ask` in order; the result is the run's last answer.

    `call_regularly` gets the function that emits text which is not emitted yet, so that a stalled
    answer keeps its text.
    """
    latency_s, waited_s = 0.0, None
    talk: list[Turn] = []
    questions = list(_open_questions(ask.turns))
    for number, turns in enumerate(questions, start=1):
        talk += turns
        last = number == len(questions)
        images = sum(len(turn.images) + len(turn.videos) for turn in talk)
        meter = RunTimer(run=ask.run, images=images, emit=emit, enter=enter, silent=not last)
        meter.waited_s = waited_s
        call_regularly(meter.flush)
        answer, metrics = _measured_answer(talk, ask.generation, engine, meter)
        latency_s, waited_s = latency_s + metrics.latency_s, meter.waited_s
        talk.append(Turn(role="assistant", text=answer.text))
        if not last:
            emit(_progress(number, len(questions)))
    return _run_finished(
        ask.run, talk, answer, replace(metrics, latency_s=latency_s), engine, waited_s
    )


def _run_finished(
    run: int,
    talk: list[Turn],
    answer: GeneratedAnswer,
    metrics: RunMetrics,
    engine: Engine,
    waited_s: float | None,
) -> RunFinished:
    """The event that ends a run."""
    memory = engine.device_memory()
    return RunFinished(
        run=run,
        raw_text=answer.raw_text,
        text=answer.text,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason,
        **asdict(metrics),
        peak_device_bytes=memory.peak_allocated,
        peak_device_reserved_bytes=memory.peak_reserved,
        peak_device_method=memory.method,
        transcript=[{"role": turn.role, "text": turn.text} for turn in talk],
        notes=answer.notes,
        waited_s=waited_s,
    )


def _measured_answer(
    talk: list[Turn], generation: Generation, engine: Engine, meter: RunTimer
) -> tuple[GeneratedAnswer, RunMetrics]:
    """One answer and its figures. A failure does not lose the text that came before it."""
    try:
        answer = _answer(talk, generation, engine, meter)
        answer = split_reasoning(answer, engine.reasoning_parser)
        return answer, meter.finish(answer.raw_text)
    except WorkerFailure as failure:
        split_text_of_failure(failure, engine.reasoning_parser)
        failure.waited_s = meter.waited_s
        raise
    finally:
        meter.flush()


def _answer(
    talk: list[Turn], generation: Generation, engine: Engine, meter: RunTimer
) -> GeneratedAnswer:
    """One answer. An engine that takes no videos gets their frames as images."""
    if not video.has_videos(talk) or engine.sees_videos(talk):
        return engine.generate(talk, generation, meter)
    try:
        answer = engine.generate(video.as_images(talk), generation, meter)
    except WorkerFailure as failure:
        raise video.video_failure(failure) from failure
    return replace(answer, notes=[*answer.notes, *video.notes(talk)])


def _open_questions(turns: tuple[Turn, ...]) -> Iterator[list[Turn]]:
    """Groups of turns; each ends with a user turn that the model has to answer."""
    if not turns or turns[-1].role != "user":
        raise WorkerFailure("protocol", "A run's last turn must be a user's.")
    group: list[Turn] = []
    for turn, following in zip(turns, (*turns[1:], None), strict=True):
        group.append(turn)
        if turn.role == "user" and (following is None or following.role == "user"):
            yield group
            group = []


def _progress(number: int, of: int) -> Progress:
    return Progress(
        phase="generate",
        message=f"answered turn {number} of {of}",
        done=float(number),
        total=float(of),
        unit="turns",
    )

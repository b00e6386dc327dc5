"""Answers a whole run: one question, or several turns whose answers the model gives itself.

The figures of a run of several turns are those of its last answer, but for `latency_s`, which
spans the whole run. Earlier answers show as progress.
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
from .timing import EventSink, RunTimer


def answer_all(
    ask: Run, engine: Engine, emit: EventSink, enter: Callable[[WorkerPhase], None]
) -> RunFinished:
    """Answer every open user turn of `ask` in order; the result is the run's last answer."""
    whole = 0.0  # what an engine looks up besides answering is nobody's latency
    talk: list[Turn] = []
    questions = list(_open_questions(ask.turns))
    for number, turns in enumerate(questions, start=1):
        talk += turns
        last = number == len(questions)
        images = sum(len(turn.images) + len(turn.videos) for turn in talk)
        meter = RunTimer(run=ask.run, images=images, emit=emit, enter=enter, silent=not last)
        answer = _answer(talk, ask.generation, engine, meter)
        figures = meter.finish(answer.raw_text)
        whole += figures.latency_s
        talk.append(Turn(role="assistant", text=answer.text))
        if not last:
            emit(_progress(number, len(questions)))
    memory = engine.device_memory()
    return RunFinished(
        run=ask.run,
        raw_text=answer.raw_text,
        text=answer.text,
        finish_reason=answer.finish_reason,
        **(asdict(figures) | {"latency_s": whole}),
        peak_device_bytes=memory.peak_allocated,
        peak_device_reserved_bytes=memory.peak_reserved,
        peak_device_method=memory.method,
        transcript=[{"role": turn.role, "text": turn.text} for turn in talk],
        notes=answer.notes,
    )


def _answer(
    talk: list[Turn], generation: Generation, engine: Engine, meter: RunTimer
) -> GeneratedAnswer:
    """One answer. An engine that sees no videos here gets their frames as images."""
    if not video.has_videos(talk) or engine.sees_videos(talk):
        return engine.generate(talk, generation, meter)
    try:
        answer = engine.generate(video.as_images(talk), generation, meter)
    except WorkerFailure as failure:
        raise video.video_failure(failure) from failure
    return replace(answer, notes=[*answer.notes, *video.notes(talk)])


def _open_questions(turns: tuple[Turn, ...]) -> Iterator[list[Turn]]:
    """Groups of turns, each ending with a user's that the model has to answer."""
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

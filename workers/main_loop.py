"""A worker's life: one load, any number of runs, then goodbye.

It joins the parts and turns failures into events; it measures nothing and knows no library.
"""

from __future__ import annotations

import os
import platform
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from schemas.commands import Command, Load, Run
from schemas.engines import is_remote
from schemas.events import Error, Fetched, Loaded, RunFinished, RunStarted, Started, WorkerExiting
from schemas.family import Family

from .checkpoint import Checkpoint, read_checkpoint, read_config
from .conversation import answer_all
from .engine import Engine, choose_engine, make_engine
from .error_classes import WorkerFailure, classify
from .exclusions import refuse_excluded
from .families import FamilyModule, find_family, server
from .fetch import fetch, fetch_extras, go_offline
from .heartbeat import Heart
from .protocol import read_commands
from .requirements import check_environment
from .timing import EventSink

EXIT_OK = 0
EXIT_LOAD_FAILED = 3


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can answer, and the facts about it."""

    engine: Engine
    family: Family
    loaded: Loaded


def serve(commands: BinaryIO, emit: EventSink) -> int:
    """Live through all commands; the result is the process's exit code."""
    emit(Started(pid=os.getpid(), python=platform.python_version(), executable=sys.executable))
    heart = Heart(emit)
    heart.start()
    runs = 0
    ready: LoadedModel | None = None
    asked: Load | None = None
    try:
        for command in _until_stop(read_commands(commands)):
            if isinstance(command, Load):
                asked = command
                if command.fetch_only:
                    _local_checkpoint(command, emit, heart)
                    continue
                ready = _load(command, emit, heart)
                heart.enter("idle")
            elif ready is None:
                raise WorkerFailure("protocol", "The first command must be a load.")
            else:
                _run(command, ready, emit, heart, asked)
                runs += 1
    except (Exception, SystemExit) as error:
        heart.stop()
        emit(_error(error, None, heart, asked))
        return EXIT_LOAD_FAILED
    heart.enter("stop")
    heart.stop()
    emit(WorkerExiting(runs=runs))
    return EXIT_OK


def _until_stop(commands: Iterable[Command]) -> Iterable[Load | Run]:
    for command in commands:
        if not isinstance(command, Load | Run):
            return
        yield command


def _load(ask: Load, emit: EventSink, heart: Heart) -> LoadedModel:
    where = _remote_checkpoint if is_remote(ask.engine) else _local_checkpoint
    checkpoint, family = where(ask, emit, heart)
    name = choose_engine(checkpoint, family, ask)
    if not is_remote(name):
        check_environment(checkpoint, family, name, ask)
    engine = make_engine(name)
    loaded: Loaded = engine.load(checkpoint, family, ask, emit)
    heart.device_memory = engine.device_memory
    emit(loaded)
    return LoadedModel(engine, family.FAMILY, loaded)


def _remote_checkpoint(ask: Load, emit: EventSink, heart: Heart) -> tuple[Checkpoint, FamilyModule]:
    """A server has the model: there is nothing to fetch and no file to look at."""
    heart.enter("load")
    return Checkpoint(folder=Path(os.devnull), config={}, source=ask.model), server


def _local_checkpoint(ask: Load, emit: EventSink, heart: Heart) -> tuple[Checkpoint, FamilyModule]:
    """The model's files, fetched where they are not there yet, and looked through."""
    heart.enter("download")
    found = fetch(ask, emit)
    family = find_family(read_config(found.folder))
    fetch_extras(family.FAMILY, ask, found.folder, emit)
    go_offline()
    heart.enter("load")
    checkpoint = read_checkpoint(
        found.folder, allow_pickle=ask.allow_pickle, commit=found.commit, source=found.source
    )
    emit(
        Fetched(
            path=str(checkpoint.folder),
            commit=found.commit,
            download_s=found.download_s,
            weights_bytes=sum(checkpoint.weights.values()),
            files=checkpoint.files,
        )
    )
    return checkpoint, family


def _run(ask: Run, ready: LoadedModel, emit: EventSink, heart: Heart, asked: Load | None) -> None:
    emit(RunStarted(run=ask.run))
    heart.enter("prefill")
    try:
        refuse_excluded(ready.family, ready.loaded, ask.turns)
        ready.engine.reset_device_peak()
        finished: RunFinished = answer_all(ask, ready.engine, emit, heart.enter, heart.call)
        emit(finished)
    except (Exception, SystemExit) as error:  # a library's sys.exit() ends a run, not us
        failed = _error(error, ask.run, heart, asked)
        if failed.error_class == "out_of_memory":
            ready.engine.free_cached_memory()
        emit(failed)
    finally:
        heart.call(None)
    heart.enter("idle")


def _error(
    error: Exception | SystemExit, run: int | None, heart: Heart, asked: Load | None
) -> Error:
    failure = classify(error, heart.phase, asked)
    # Tensors that the failed frames hold would keep the device's memory from being freed.
    trace = "".join(traceback.format_exception(error))
    traceback.clear_frames(error.__traceback__)
    return Error(
        run=run,
        phase=heart.phase,
        error_class=failure.error_class,
        exception=type(error).__name__,
        message=failure.message,
        hint=failure.hint,
        traceback=trace,
        requeue=failure.requeue,
        server_state=failure.server_state,
        retry_after_s=failure.retry_after_s,
        text=failure.text,
        reasoning=failure.reasoning,
        notes=failure.notes,
        waited_s=failure.waited_s,
    )

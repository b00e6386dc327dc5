"""Prepares a sweep in advance: creates its environments and downloads its models.

Each model is downloaded by a worker under a shim, limited to its model's download_s, so that a hung
download is killed; the hub cache keeps the partial files. Nothing is loaded, and no database is
used.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from schemas import events, stream
from schemas.commands import Stop
from schemas.states import Phase
from schemas.stream import EventSink

from ..environments import resolve
from ..environments.worker_command import worker_command
from ..planning.plan import Plan
from ..preflight import finding, models, probe
from ..preflight.finding import LoadVariant
from ..preflight.run import PreflightError
from ..process import guarded
from ..process.event_reader import InvalidLine, decode
from ..process.launcher import Launcher, WorkerSpec
from ..supervisor.deadlines import DeadlineMonitor


def fetch_models(
    plan: Plan, emit: EventSink, launcher: Launcher | None = None
) -> list[stream.ModelFetched]:
    """Download all models; return the result of each, including failed environments.

    Blocks until all models are downloaded or have failed. Raises PreflightError before any download
    when the disk is too small for the sizes that the hub reports.
    """
    plan, failures = resolve.resolve_environments(plan, emit)
    wanted = list(unique_hub_models(list(finding.plan_variants(plan))))
    check_disk_space(wanted)
    emit(stream.FetchStarted(models=[variant.name for variant in wanted]))
    done = [
        stream.ModelFetched(
            model=failure.model, location="", error_class="environment", message=failure.message
        )
        for failure in failures
    ]
    with tempfile.TemporaryDirectory(prefix="vlmsweep-fetch-") as folder:
        for number, variant in enumerate(wanted, start=1):
            fetched = Fetching(variant, number, emit).run(Path(folder), launcher)
            emit(fetched)
            done.append(fetched)
    return done


def unique_hub_models(variants: Sequence[LoadVariant]) -> Iterator[LoadVariant]:
    """Yield the variants from the hub, one per repository, revision and load permissions."""
    seen = set()
    for variant in variants:
        load = variant.load
        key = (load.model, load.revision, load.trust_remote_code, load.allow_pickle)
        if variant.source == "hub" and key not in seen:
            seen.add(key)
            yield variant


def check_disk_space(wanted: Sequence[LoadVariant]) -> None:
    """Compare the download size, if the hub reports it, with the disk. Raises PreflightError."""
    outlooks = probe.probe_variants(
        [in_own_environment(variant) for variant in wanted], hub=True, made=True
    )
    for found in models.check_download_space(outlooks):
        if found.severity == "problem":
            raise PreflightError(found.message, hint=found.hint)


def in_own_environment(variant: LoadVariant) -> LoadVariant:
    """Return the variant for vlmsweep's own environment, if that can download.

    All environments share the hub cache.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        return variant
    return replace(variant, python=None, requirements=None)


class Fetching:
    """Downloads one model."""

    def __init__(self, variant: LoadVariant, number: int, emit: EventSink) -> None:
        self.variant, self.number, self.emit = variant, number, emit
        self.watch = DeadlineMonitor(variant.limits, time.monotonic())
        self.result = stream.ModelFetched(model=variant.name, location=variant.load.model)
        self.is_complete = False

    def run(self, folder: Path, launcher: Launcher | None) -> stream.ModelFetched:
        """Block until the model is downloaded, has failed or was killed."""
        argv, env = worker_command(in_own_environment(self.variant).python)
        name = f"worker-{self.number}"
        log, stack = folder / f"{name}.log", folder / f"{name}.stack"
        spec = WorkerSpec(log=log, stack=stack, argv=argv, env=env)
        self.emit(
            stream.WorkerStarted(
                worker=self.number, model=self.variant.name, pid=None, log_path=str(log)
            )
        )
        load = replace(self.variant.load, fetch_only=True)
        commands = [json.dumps(asdict(command)).encode() + b"\n" for command in (load, Stop())]
        end = guarded.run_guarded(spec, self.on_line, self.watch.next_deadline, commands, launcher)
        if self.is_complete or self.result.message is not None:
            return self.result
        breach = self.watch.check(time.monotonic()) if end.overdue else None
        message = breach.message if breach else f"the worker ended with status {end.status}"
        hint = "partial files are kept: fetch again" if breach else None
        return replace(self.result, error_class="network", message=message, hint=hint)

    def on_line(self, line: bytes) -> None:
        """Handle one event of the worker."""
        event, now = decode(line), time.monotonic()
        match event:
            case InvalidLine() | events.Heartbeat() | events.Started():
                pass
            case events.Progress():
                self.watch.on_progress(event.phase, now)
                self.emit(
                    stream.WorkerProgress(
                        worker=self.number,
                        model=self.variant.name,
                        phase=event.phase,
                        message=event.message,
                        done=event.done,
                        total=event.total,
                        unit=event.unit,
                    )
                )
            case events.Fetched():
                self.is_complete = True
                self.watch.enter_phase(Phase.STOP, now)
                self.result = replace(
                    self.result,
                    download_s=event.download_s,
                    weights_bytes=event.weights_bytes,
                    commit=event.commit,
                )
            case events.Error():
                self.watch.enter_phase(Phase.STOP, now)
                self.result = replace(
                    self.result,
                    error_class=event.error_class,
                    message=event.message or event.exception,
                    hint=event.hint,
                )

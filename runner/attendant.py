"""Tends one worker through its life: loads the model, hands over jobs, watches, kills, buries.

It is a state machine driven from outside: bytes that arrived, and the time. It never waits.
Which models get workers, and how many, is `runner.supervisor`'s business.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from schemas import events, stream
from schemas.commands import Command, Run, Stop

from . import environment, verdict
from .launch import Hold, Launcher, WorkerSpec
from .lines import Closed, Garbage, LineReader, decode
from .memory import Peak, TreeMemory
from .queue import QueuedJob, QueuedModel
from .running import Running, Tell
from .store import Store, utc_now
from .verdict import Ending
from .watch import Breach, Watch

SAMPLE_EVERY_S = 0.25
STORE_SAMPLE_EVERY_S = 1.0
STACK_GRACE_S = 0.1
GARBAGE_LIMIT = 1000
STACK_BYTES = 20_000
LOADED = (
    "engine",
    "family",
    "model_class",
    "processor_class",
    "device",
    "dtype",
    "dtype_reason",
    "attention",
    "parameters",
    "load_s",
    "import_s",
    "weights_s",
    "processor_s",
)


@dataclass(frozen=True, slots=True)
class Departure:
    """What the supervisor must know of a worker that is gone."""

    loaded: bool
    lost_a_run: bool


class Attendant:
    """One worker and the jobs it is to do; takes them from `jobs`, which others may share."""

    def __init__(
        self,
        store: Store,
        tell: Tell,
        model: QueuedModel,
        jobs: deque[QueuedJob],
        sweep: int,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.tell, self.clock = store, tell, clock
        self.model, self.jobs = model, jobs
        self.number = store.next_worker_number(sweep)
        self.log = folder / f"worker-{self.number}.log"
        self.stack_file = folder / f"worker-{self.number}.stack"
        self.row = store.start_worker(model.id, self.log, self.number)
        self.watch = Watch(model.limits, clock())
        self.began = clock()
        self.running: Running | None = None
        self.memory: TreeMemory | None = None
        self.device = Peak()
        self.device_now: int | None = None
        self.ending = Ending()
        self.last: dict[str, Any] = {}
        self.kill_asked: float | None = None
        self.kill_sent = False
        self.loaded = self.refused = self.draining = False
        self.python = ""
        self.garbage = 0
        self.notes: list[str] = []
        self.sampled_at = self.sample_stored_at = float("-inf")
        self.departure: Departure | None = None

    # Its beginning.

    def begin(self, launcher: Launcher) -> None:
        """Starts the process and asks it to load the model."""
        self.hold: Hold = launcher.start(WorkerSpec(log=self.log, stack=self.stack_file))
        self.events = LineReader(self.hold.events_fd)
        self.reports = LineReader(self.hold.reports_fd)
        self.send(self.model.load)

    def send(self, command: Command) -> None:
        """A command, as a line."""
        self.hold.send(json.dumps(asdict(command)).encode() + b"\n")

    # What it says.

    def hear(self) -> bool:
        """Takes in what the worker sent; False at the end of its stream."""
        for line in self.events.read():
            if isinstance(line, Closed):
                return False
            event = line if isinstance(line, Garbage) else decode(line)
            if isinstance(event, Garbage):
                self.put_up_with(event)
            else:
                now = self.clock()
                self.watch.heard(now, progress=not isinstance(event, events.Heartbeat))
                self.take(event, now)
        return True

    def put_up_with(self, garbage: Garbage) -> None:
        """Nonsense on the event stream: noted; too much of it is the end."""
        self.garbage += 1
        if self.garbage <= 3:
            self.notes.append(f"event stream: {garbage.reason}: {garbage.sample}")
        if self.garbage == GARBAGE_LIMIT:
            message = f"{GARBAGE_LIMIT} lines that are no events, the last: {garbage.reason}"
            self.kill(Breach("protocol", self.watch.phase, message))

    def take(self, event: events.Event, now: float) -> None:
        """One event's effect."""
        match event:
            case events.Started():
                self.python = event.python
            case events.Progress():
                self.progress(event, now)
            case events.Fetched():
                self.store.model_found(self.row, event)
                self.watch.enter("load", now)
            case events.Loaded() if not self.loaded and not self.ending.killed_for:
                self.model_loaded(event, now)
            case events.Heartbeat():
                self.device_now = event.device_bytes
                self.device.device_at_least(event.device_bytes, "heartbeat")
            case events.Error(run=None):
                self.refuse(event, now)
            case events.Bye():
                self.watch.enter("stop", now)
            case (
                events.RunStarted()
                | events.FirstToken()
                | events.Text()
                | events.RunFinished()
                | events.Error()
            ) if self.running is not None and event.run == self.running.id:
                self.of_run(self.running, event, now)
            case _:
                self.put_up_with(Garbage("out of order", type(event).__name__))

    def of_run(
        self,
        running: Running,
        event: events.RunStarted
        | events.FirstToken
        | events.Text
        | events.RunFinished
        | events.Error,
        now: float,
    ) -> None:
        """An event of the run in hand."""
        match event:
            case events.FirstToken():
                self.watch.enter("generate", now)
                running.first_token(event)
            case events.Text():
                self.watch.enter("generate", now)
                running.text(event, now)
            case events.RunFinished():
                self.running = None
                running.finish(event, self.span_peak(now))
                self.next_run(now)
            case events.Error():
                self.running = None
                running.fail(verdict.of_error(event), self.span_peak(now))
                self.next_run(now)

    def progress(self, event: events.Progress, now: float) -> None:
        """A download or a load moves."""
        if not self.loaded:
            self.watch.enter("download" if event.phase == "download" else "load", now)
        self.tell(
            stream.WorkerProgress(
                worker=self.number,
                model=self.model.name,
                phase=event.phase,
                message=event.message,
                done=event.done,
                total=event.total,
                unit=event.unit,
            )
        )

    def model_loaded(self, event: events.Loaded, now: float) -> None:
        """The model can answer: the first job goes to it."""
        self.loaded = True
        facts = environment.workers(event.versions, self.python, event.device_name)
        self.notes += event.notes
        row = {name: getattr(event, name) for name in LOADED}
        row["environment_id"] = self.store.environment(facts)
        self.store.update("workers", self.row, row)
        self.device.device_at_least(event.device_bytes, "after load")
        (download_s,) = self.store.connection.execute(
            "SELECT download_s FROM workers WHERE id = ?", [self.row]
        ).fetchone()
        self.tell(
            stream.WorkerLoaded(
                worker=self.number,
                model=self.model.name,
                engine=event.engine,
                device=event.device,
                dtype=event.dtype,
                load_s=event.load_s,
                download_s=download_s,
            )
        )
        self.next_run(now)

    def refuse(self, event: events.Error, now: float) -> None:
        """The model cannot be made ready, and the worker said why; it leaves by itself."""
        self.refused = True
        self.last = verdict.of_error(event) | {"phase": self.watch.phase}
        named = {key: self.last[key] for key in ("error_class", "message", "hint")}
        self.store.update("workers", self.row, named | {"stack": event.traceback})
        self.watch.enter("stop", now)

    def next_run(self, now: float) -> None:
        """Hands the next job over, or lets the worker go when none is left."""
        self.watch.enter("idle", now)
        if self.ending.killed_for:
            return
        if self.draining or not self.jobs:
            self.watch.enter("stop", now)
            self.send(Stop())
            return
        job = self.jobs.popleft()
        self.running = Running(self.store, self.tell, self.model, job, self.row)
        if self.memory is not None:
            self.memory.begin_span()
        self.watch.enter("prefill", now)
        self.running.announce(self.number)
        self.send(Run(run=self.running.id, turns=job.turns, generation=self.model.generation))

    # What the shim reports.

    def hear_reports(self) -> bool:
        """Takes in the shim's reports; False when it is gone and the worker can be buried."""
        for line in self.reports.read():
            if isinstance(line, Closed):
                return False
            if isinstance(line, bytes):
                self.report(*line.decode("utf-8", "replace").split(" "))
        return True

    def report(self, kind: str, *words: str) -> None:
        """One report, as `runner.shim` defines them."""
        if kind == "started":
            pid = int(words[0])
            self.memory = TreeMemory(pid)
            self.store.update("workers", self.row, {"pid": pid})
            self.tell(
                stream.WorkerStarted(
                    worker=self.number, model=self.model.name, pid=pid, log=str(self.log)
                )
            )
        elif kind == "exited":
            status, user_s, system_s, maxrss = words
            self.ending.status = int(status)
            self.last_row("cpu_s", float(user_s) + float(system_s))
            if self.memory is not None:
                self.memory.total.rss_at_least(int(maxrss), "rusage maxrss")
        elif kind == "gone":
            # The worker itself is among the killed only when it was not its own end.
            self.last_row("killed_processes", int(words[0]) if self.ending.killed_for else None)
        elif kind == "failed":
            self.notes.append(" ".join(words))

    def last_row(self, column: str, value: Any) -> None:
        """A column of the worker's row."""
        self.store.update("workers", self.row, {column: value})

    # Time passing.

    def tick(self) -> None:
        """Samples memory and holds the worker to its limits."""
        now = self.clock()
        self.hold.flush()
        if self.kill_asked is not None:
            if not self.kill_sent and now >= self.kill_asked + STACK_GRACE_S:
                self.send_kill()
            return
        rss = None
        if self.memory is not None and now >= self.sampled_at + SAMPLE_EVERY_S:
            self.sampled_at = now
            rss = self.sample(now)
        if breach := self.watch.breach(now, rss):
            self.kill(breach)

    def wake_at(self) -> float:
        """When `tick` must be called next, monotonic seconds."""
        if self.kill_asked is not None:
            return self.kill_asked + (3600 if self.kill_sent else STACK_GRACE_S)
        return min(self.watch.next_deadline(), self.sampled_at + SAMPLE_EVERY_S)

    def sample(self, now: float) -> int | None:
        """One sample of the worker's memory; returns the resident bytes."""
        assert self.memory is not None
        sample = self.memory.sample(now)
        if sample is None:
            return None
        if now >= self.sample_stored_at + STORE_SAMPLE_EVERY_S:
            self.sample_stored_at = now
            row = {
                "at_s": now - self.began,
                "phase": self.watch.phase,
                "rss_bytes": sample.rss,
                "anonymous_bytes": sample.anonymous,
                "file_bytes": sample.file,
                "device_bytes": self.device_now,
            }
            self.store.add_sample(self.row, row)
            self.tell(
                stream.MemorySampled(
                    worker=self.number,
                    model=self.model.name,
                    rss_bytes=sample.rss,
                    peak_rss_bytes=self.memory.total.rss,
                    device_bytes=self.device_now,
                )
            )
        return sample.rss

    def span_peak(self, now: float) -> Peak:
        """The peak of the run that just ended."""
        return Peak() if self.memory is None else self.memory.end_span(now)

    # Its end.

    def drain(self) -> None:
        """Takes no more jobs; the run in hand may finish, a load is not waited for."""
        self.draining = True
        if not self.loaded and not self.refused:
            self.interrupt()

    def interrupt(self) -> None:
        """Ends it at once, at the user's wish."""
        if self.ending.killed_for is None:
            self.draining = True
            self.kill(Breach("interrupted", self.watch.phase, "interrupted by the user"))
            self.send_kill()

    def kill(self, breach: Breach) -> None:
        """Begins the kill: its stack is asked for, and a moment later it dies."""
        if self.ending.killed_for is not None:
            return
        self.ending.killed_for, self.ending.message = breach.limit, breach.message
        self.kill_asked = self.clock()
        self.tell(
            stream.WorkerKilled(
                worker=self.number,
                model=self.model.name,
                killed_for=breach.limit,
                phase=breach.phase,
                message=breach.message,
            )
        )
        self.hold.take_stack()

    def send_kill(self) -> None:
        """The kill itself."""
        self.kill_sent = True
        self.hold.kill()

    def bury(self) -> Departure:
        """Everything is gone: reads what was still in the pipe and stores how it ended."""
        phase = self.watch.phase
        self.hold.kill()
        while self.hear():
            pass
        self.hold.close()
        self.ending.stack = self.stack()
        lost = self.running is not None
        if self.running is not None:
            self.last = verdict.of_ending(self.ending, phase)
            self.running.fail(self.last, self.memory.span if self.memory else None)
            self.running = None
        elif not self.loaded and not self.refused:
            self.last = verdict.of_ending(self.ending, phase)
        if not self.loaded and not self.draining:
            for job in self.take_all_jobs():
                Running(self.store, self.tell, self.model, job, self.row).fail(self.last)
        self.store_ending(phase)
        self.departure = Departure(loaded=self.loaded, lost_a_run=lost)
        return self.departure

    def take_all_jobs(self) -> Iterator[QueuedJob]:
        """Every job that is left: a model that cannot be loaded fails them all."""
        while self.jobs:
            yield self.jobs.popleft()

    def stack(self) -> str | None:
        """The stack it wrote when it was asked to; the end of it, if it is long."""
        try:
            text = self.stack_file.read_bytes()[-STACK_BYTES:].decode("utf-8", "replace")
            self.stack_file.unlink()
        except OSError:
            return None
        return text or None

    def store_ending(self, phase: str) -> None:
        """The last of the worker's row."""
        status, total = self.ending.status, self.memory.total if self.memory else Peak()
        kill_s = None if self.kill_asked is None else self.clock() - self.kill_asked
        exit_code = status if status is not None and status >= 0 else None
        exit_signal = verdict.signal_name(-status) if status is not None and status < 0 else None
        row: dict[str, Any] = {
            "ended_at": utc_now(),
            "phase": phase,
            "exit_code": exit_code,
            "exit_signal": exit_signal,
            "killed_for": self.ending.killed_for,
            "kill_s": kill_s,
            "peak_rss_bytes": total.rss,
            "peak_rss_method": total.method,
            "peak_anonymous_bytes": total.anonymous,
            "peak_file_bytes": total.file,
            "peak_device_bytes": self.device.device,
            "peak_device_method": self.device.device_method,
            "notes": json.dumps(self.notes) if self.notes else None,
        }
        if self.ending.stack:
            row["stack"] = self.ending.stack
        if not self.loaded and not self.refused:
            row |= {key: self.last.get(key) for key in ("error_class", "message", "hint")}
        self.store.update("workers", self.row, row)
        self.tell(
            stream.WorkerEnded(
                worker=self.number,
                model=self.model.name,
                exit_code=exit_code,
                exit_signal=exit_signal,
                killed_for=self.ending.killed_for,
                kill_s=kill_s,
                peak_rss_bytes=total.rss,
            )
        )

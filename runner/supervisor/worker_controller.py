"""Controls one worker: loads the model, sends jobs, enforces limits.

A state machine driven by received bytes and by time; it never blocks. The process is in
`runner.supervisor.worker_process`, a run's row in `runner.supervisor.run_recorder`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from schemas import events
from schemas.commands import Command, Run, Stop
from schemas.rows import Runs, Workers
from schemas.states import Phase
from schemas.stream import EventSink

from ..database.store import Store
from ..process.event_reader import EndOfStream, InvalidLine
from ..process.launcher import Launcher
from ..system.log import get_logger
from . import outcome, server_away
from .deadlines import DeadlineMonitor, LimitViolation
from .fail_run import fail_run
from .load_recorder import LoadRecorder
from .memory_tracker import PeakMemory
from .queue import QueuedJob, QueuedModel
from .run_recorder import RunRecorder
from .server_away import ServerAvailability
from .worker_events import WorkerEvents
from .worker_process import WorkerProcess
from .worker_state import LOADED, StopRequest, WorkerResult, WorkerState

LAST_READ_S, DRAIN_S = 0.1, 1.0  # for reading the pipe before a kill, and after the exit
log = get_logger(__name__)

Claim = Callable[[QueuedModel], QueuedJob | None]


class WorkerController:
    """One worker and its jobs; `claim` returns the next job, or None."""

    def __init__(
        self,
        store: Store,
        emit: EventSink,
        model: QueuedModel,
        claim: Claim,
        folder: Path,
        env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.emit, self.clock = store, emit, clock
        self.model, self.claim = model, claim
        self.number = store.next_worker_number(model.sweep)
        log = folder / f"worker-{self.number}.log"
        self.row = store.start_worker(model.id, log, self.number)
        self.process = WorkerProcess(store, emit, clock, model, self.row, self.number, log)
        self.loading = LoadRecorder(store, emit, model.name, self.row, self.number)
        self.env = dict(env or {})
        self.watch = DeadlineMonitor(model.limits, clock())
        self.running: RunRecorder | None = None
        self.verdict: Runs = {}
        self.state = WorkerState.LOADING
        self.stop_request = StopRequest.NONE
        self.server = ServerAvailability()
        self.ended = 0
        self.heard: set[int] = set()

    def start(self, launcher: Launcher) -> None:
        """Start the process and send the load command. Raises OSError."""
        self.process.begin(launcher, self.env)
        self.events = WorkerEvents(
            self.process.handle.events_fd,
            self.number,
            self.process.notes,
            self.kill_for_protocol,
        )
        self.send(self.model.load)

    @property
    def loaded(self) -> bool:
        """Whether the model could be loaded."""
        return self.state in LOADED

    @property
    def draining(self) -> bool:
        """Whether the worker gets no more jobs."""
        return self.stop_request is not StopRequest.NONE

    @property
    def has_exited(self) -> bool:
        """Return whether the shim has exited, and with it the worker's process tree."""
        return self.process.handle.reports_fd not in self.heard

    def stream_closed(self, descriptor: int) -> None:
        """One of the two streams has ended."""
        self.heard.discard(descriptor)

    def send(self, command: Command) -> None:
        """Send a command as a JSON line."""
        self.process.handle.send(json.dumps(asdict(command)).encode() + b"\n")

    # Events.

    def read_events(self) -> bool:
        """Read and handle events; False at the end of the stream."""
        for event in self.events.read():
            if isinstance(event, EndOfStream):
                return False
            now = self.clock()
            self.watch.on_event(now, progress=not isinstance(event, events.Heartbeat))
            self.handle_event(event, now)
        return True

    def kill_for_protocol(self, message: str) -> None:
        """Kill a worker that sends too many invalid lines."""
        self.process.kill(LimitViolation("protocol", self.watch.phase, message))

    def handle_event(self, event: events.Event, now: float) -> None:
        """Handle one event."""
        match event:
            case events.Started():
                self.loading.python = event.python
            case events.Progress():
                self.progress(event, now)
            case events.Fetched() if not self.loaded:
                self.loading.fetched(event)
                self.watch.enter_phase(Phase.LOAD, now)
            case events.Loaded() if not self.loaded and not self.process.kill_requested:
                self.model_loaded(event, now)
            case events.Waiting() if event.run == (self.running and self.running.id):
                self.watch.on_waiting(event.reason, event.retry_in_s, now)
                self.loading.waiting(event)
            case events.Heartbeat():
                self.process.device_report(event.device_bytes, "heartbeat")
            case events.Error(run=None) if not self.loaded:
                self.on_load_error(event, now)
            case events.WorkerExiting() if self.running is None:
                self.watch.enter_phase(Phase.STOP, now)
            case _ if (
                isinstance(event, events.RunEvent)
                and (running := self.running)
                and event.run == running.id
            ):
                self.handle_run_event(running, event, now)
            case _:
                self.events.on_invalid_line(InvalidLine("out of order", type(event).__name__))

    def handle_run_event(self, running: RunRecorder, event: events.RunEvent, now: float) -> None:
        """Handle an event of the current run."""
        if self.process.outcome_decided and isinstance(event, events.RunFinished | events.Error):
            self.events.on_invalid_line(InvalidLine("too late", type(event).__name__))
            return
        if not isinstance(event, events.RunStarted):
            self.loading.answered()
        match event:
            case events.FirstToken():
                self.watch.enter_phase(Phase.GENERATE, now)
                running.first_token(event)
            case events.Text():
                self.watch.enter_phase(Phase.GENERATE, now)
                running.text(event, now)
            case events.RunFinished():
                self.end_run()
                server_away.clear(self.store, self.model)
                self.process.device_peak(event.peak_device_bytes, event.peak_device_method)
                running.finish(event, self.process.end_run())
                self.start_next_run(now)
            case events.Error():
                self.end_run()
                self.server.on_error(event)
                if not self.server.unavailable:
                    server_away.clear(self.store, self.model)
                row = outcome.outcome_of_error(event)
                if self.server.unavailable:
                    self.verdict = row
                self.fail(running, row, self.process.end_run())
                self.start_next_run(now)

    def end_run(self) -> None:
        """Clear the current run, after the worker's answer."""
        self.running, self.state, self.ended = None, WorkerState.IDLE, self.ended + 1

    def progress(self, event: events.Progress, now: float) -> None:
        """A download or a load progresses."""
        if not self.loaded:
            self.watch.on_progress(event.phase, now)
        self.loading.progress(event)

    def model_loaded(self, event: events.Loaded, now: float) -> None:
        """The model is loaded: send the first job."""
        self.state = WorkerState.IDLE
        log.info("worker %d loaded %s in %.1f s", self.number, self.model.name, event.load_s)
        self.process.notes += event.notes
        self.process.device_report(event.device_bytes, "after load")
        self.loading.answered()
        self.loading.loaded(event)
        self.start_next_run(now)

    def on_load_error(self, event: events.Error, now: float) -> None:
        """The worker reported a load error; it exits by itself."""
        self.state = WorkerState.LOAD_FAILED
        log.warning("worker %d: load failed: %s: %s", self.number, event.error_class, event.message)
        self.verdict = outcome.outcome_of_error(event) | {"phase": self.watch.phase}
        self.server.on_error(event)
        self.loading.load_failed(event)
        self.watch.enter_phase(Phase.STOP, now)

    def start_next_run(self, now: float) -> None:
        """Send the next job, or ask the worker to exit."""
        self.watch.enter_phase(Phase.IDLE, now)
        if self.process.kill_requested or self.process.exited:
            return
        alone = self.model.isolation == "job" and self.ended
        job = None if self.draining or alone or self.server.unavailable else self.claim(self.model)
        if job is None:
            self.state = WorkerState.STOPPING
            log.debug("worker %d: no job left, asked to exit", self.number)
            self.watch.enter_phase(Phase.STOP, now)
            self.send(Stop())
            return
        self.running = RunRecorder(self.store, self.emit, self.model, job, self.row, self.number)
        self.state = WorkerState.RUNNING
        log.debug("worker %d: run %d of job %d", self.number, self.running.id, job.id)
        self.process.start_run()
        self.watch.enter_phase(Phase.PREFILL, now)
        self.running.announce(self.number)
        self.send(Run(run=self.running.id, turns=job.turns, generation=self.running.generation))

    # Time passing.

    def tick(self) -> None:
        """Sample memory and check limits."""
        self.process.tick()
        if not self.process.kill_requested:
            rss = self.process.sample(self.watch.phase)
            if self.watch.check(self.clock(), rss) is not None:
                self.read_waiting_events(LAST_READ_S)  # events written in time count
                breach = self.watch.check(self.clock(), rss)
                if breach is not None and not self.process.kill_requested:
                    self.process.kill(breach)

    def read_waiting_events(self, limit_s: float) -> None:
        """Handle all that the worker has written, for `limit_s` seconds at most."""
        until = self.clock() + limit_s
        while self.read_events() and not self.events.would_block and self.clock() < until:
            pass

    def next_deadline(self) -> float:
        """Return when `tick` must be called next, monotonic seconds."""
        if self.process.kill_requested:
            return self.process.next_deadline()
        return min(self.watch.next_deadline(), self.process.next_deadline())

    # Its end.

    def drain(self) -> None:
        """Send no more jobs; the current run may finish, a load is interrupted."""
        self.stop_request = self.stop_request or StopRequest.DRAIN
        if self.state is WorkerState.LOADING:
            self.interrupt()

    def interrupt(self, limit: str = "interrupted", why: str = "interrupted by the user") -> None:
        """Kill the worker at once."""
        self.stop_request = self.stop_request or StopRequest.DRAIN
        self.process.kill(LimitViolation(limit, self.watch.phase, why), at_once=True)

    def cancel(self) -> None:
        """Kill the worker: the user cancelled its job."""
        self.stop_request = StopRequest.CANCEL
        self.interrupt("cancelled", outcome.CANCELLED_MESSAGE)

    def finalize(self) -> WorkerResult:
        """After the exit: read the rest of the pipe and store the result."""
        phase = self.process.ending.phase or self.watch.phase
        self.process.exited = True
        self.process.handle.kill()
        self.read_waiting_events(DRAIN_S)
        self.process.close()
        lost = self.state in (WorkerState.IDLE, WorkerState.RUNNING)
        if lost or self.state is WorkerState.LOADING:
            self.verdict = outcome.outcome_of_exit(self.process.ending, phase)
        if self.running is not None:
            self.fail(self.running, self.verdict, self.process.interrupted_run())
            self.running = None
        row: Workers = {"phase": phase, "notes": json.dumps(self.process.notes) or None}
        if not self.loaded:
            row |= outcome.columns_of_failed_load(self.verdict)
        self.loading.answered()
        self.process.store_exit(row)
        return WorkerResult(self.loaded, self.ended, lost, self.verdict)

    def fail(self, running: RunRecorder, row: Runs, peak: PeakMemory | None) -> None:
        """End a run that is not ok; its job may be queued again."""
        cancelled = self.stop_request is StopRequest.CANCEL
        fail_run(self.store, self.model, running, row, peak=peak, cancelled=cancelled)

"""Runs a queue: one event loop, one thread, one writer.

It decides which model gets a worker, and handles signals and the end time. Single workers are
controlled by `runner.supervisor.worker_controller`, failed models by
`runner.supervisor.model_failures`, requests from other terminals by `runner.control`.
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from schemas import stream
from schemas.states import SweepState
from schemas.stream import EventSink

from ..control.registry import QueueChange
from ..control.server import ControlServer
from ..database.store import Store
from ..process import signals
from ..process.launcher import Launcher, ShimLauncher
from ..system.log import get_logger
from ..system.timestamps import format_timestamp
from . import server_away
from .model_failures import ModelFailures
from .pause_detector import PauseDetector
from .queue import Queue, QueuedJob, QueuedModel
from .resources import Allocation, SupervisorLimits
from .stall_timer import StallTimer
from .sweep_session import SweepSession
from .time_window import TimeWindow
from .worker_controller import WorkerController
from .worker_pool import WorkerPool

log = get_logger(__name__)

GENTLE = {signal.SIGINT}
AT_ONCE = {signal.SIGTERM, signal.SIGHUP}
CONTINUED = {signal.SIGCONT}
HANDLED = GENTLE | AT_ONCE | CONTINUED
POLL_INTERVAL_S = 20.0  # between checks without any event


class Supervisor:
    """Runs the jobs of one sweep or of the whole queue until done or interrupted."""

    def __init__(
        self,
        store: Store,
        emit: EventSink,
        launcher: Launcher | None = None,
        terms: SupervisorLimits | None = None,
        listener: ControlServer | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store, self.emit, self.listener = store, emit, listener
        self.terms = terms or SupervisorLimits()
        self.hours = TimeWindow(store.connection, now, self.terms.until)
        self.selector = listener.selector if listener else selectors.DefaultSelector()
        if listener is not None:
            listener.on_change = self.on_queue_change
        self.pool = WorkerPool(self.terms, launcher or ShimLauncher(), self.selector)
        self.sessions: dict[int, SweepSession] = {}
        self.interrupts = 0
        self.stay = False
        self.changed = True
        self.look_at = 0.0
        self.stall_timer = StallTimer()
        self.pauses = PauseDetector()

    def run_sweep(self, sweep: int) -> SweepState:
        """Run one sweep; return its state, done or interrupted."""
        self.open_queue(sweep)
        self.start_session(sweep)
        self.event_loop()
        return self.sessions[sweep].state

    def run_queue(self) -> bool:
        """Run the queue; return False if it was interrupted."""
        self.open_queue()
        self.stay = self.terms.stay
        self.event_loop()
        return not self.interrupts

    def open_queue(self, sweep: int | None = None) -> None:
        """Open one sweep's jobs, or the whole queue."""
        self.queue = Queue(self.store.connection, sweep)
        self.failures = ModelFailures(self.store, self.queue, self.sessions)

    def event_loop(self) -> None:
        """Run the event loop until no work is left (with `stay`, until stopped)."""
        with (
            signals.signals_to_selector(HANDLED, self.selector, self.on_signal),
            self.pool.kill_all_on_exit(),
        ):
            while True:
                self.schedule()
                if not (self.pool or self.failures.batches or self.has_pending_work()):
                    break
                self.loop_once()
        self.finish_empty_sweeps()
        for session in self.sessions.values():
            session.stop()
        self.store.files.check()

    def has_pending_work(self) -> bool:
        """Return whether jobs may still start, without any worker."""
        if self.hours.over or self.interrupts:
            return False
        return self.stay or bool(self.queue.open_sweeps())

    def loop_once(self) -> None:
        """Wait for the next event or deadline, and handle it."""
        times = [self.look_at, *(controller.next_deadline() for controller in self.pool)]
        wait_s = 0.0 if self.failures.batches else max(0.0, min(times) - time.monotonic())
        self.stall_timer.before_wait()
        ready = self.selector.select(wait_s)
        self.stall_timer.after_wait()
        for key, _ in ready:
            key.data()
        if paused_s := self.pauses.paused_s(wait_s):
            self.pool.postpone_deadlines(paused_s)
        for controller in self.pool:
            self.on_worker_exit(controller) if controller.has_exited else controller.tick()
        if self.failures.batches:
            self.failures.fail_next()
            self.changed = True
        if self.hours.has_ended():
            self.stop_at_deadline()

    # Scheduling.

    def schedule(self) -> None:
        """End finished sweeps and start workers, after a change or POLL_INTERVAL_S."""
        now = time.monotonic()
        if not self.changed and self.pool and now < self.look_at:
            return
        self.changed = False
        self.store.files.check()
        if self.listener is not None:
            self.listener.rebind_if_removed()
        self.failures.end_rests(now)
        self.finish_empty_sweeps()
        self.start_workers()
        rests = (until - now for until in self.failures.resting.values())
        self.look_at = now + min(POLL_INTERVAL_S, self.hours.next_s(self.queue), *rests)

    def start_workers(self) -> None:
        """Start workers, in queue order, while resources are free."""
        if self.interrupts or self.hours.over:
            return
        late = False
        for model in self.queue.ready(self.hours.now_text()):
            if self.pool.full:
                return
            if self.is_blocked(model):
                continue
            if self.hours.would_end_late(model, loads=1):
                late = True
                continue
            grant = self.pool.allocate(self.hours.expected(model), model)
            if grant is None:
                log.debug("%s waits for memory or a device", model.name)
                return
            self.start_worker(model, grant)
            if self.failures.batches:  # jobs with unusable images end first
                return
        idle = not (self.pool or self.failures.batches or self.failures.resting)
        if late and idle and not self.stay and not self.hours.has_scheduled_sweep(self.queue):
            self.stop_at_deadline()

    def is_blocked(self, model: QueuedModel) -> bool:
        """Return whether a model has a worker, in any sweep, or must wait."""
        return self.failures.is_blocked(model) or self.pool.has(model)

    def claim(self, model: QueuedModel) -> QueuedJob | None:
        """Return the next job for a current or planned worker."""
        if self.hours.would_end_late(model, loads=0):
            return None
        job = self.queue.claim(model.id, self.hours.now_text())
        if job is not None and job.broken:  # it was retried, and still has an unusable image
            self.changed = True
            self.failures.fail_unusable_images(model.sweep)
            job = self.queue.claim(model.id, self.hours.now_text())
        return None if job is None or job.broken else job

    def start_session(self, sweep: int) -> SweepSession:
        """Start a sweep's session, before its first worker."""
        if sweep in self.sessions and not self.sessions[sweep].ended:
            return self.sessions[sweep]
        session = self.sessions[sweep] = SweepSession(self.store, self.emit, sweep)
        server_away.clear_sweep(self.store, sweep)
        session.begin()
        self.changed = True
        self.failures.fail_unusable_images(sweep)
        return session

    def finish_empty_sweeps(self) -> None:
        """End sweeps without unfinished jobs."""
        open_sweeps = set(self.queue.open_sweeps())
        for sweep, session in self.sessions.items():
            if not session.ended and sweep not in open_sweeps:
                session.end()

    # Workers.

    def start_worker(self, model: QueuedModel, grant: Allocation) -> None:
        """Start a worker for a model, and register it in the event loop."""
        session = self.start_session(model.sweep)
        if self.claim(model) is None:  # its images are unusable
            self.pool.release(grant)
            return
        session.announce_fallback(model, self.queue.count(model.id))
        controller = WorkerController(
            self.store, session.emit, model, self.claim, Path(session.folder), grant.env
        )
        if grant.device is not None:
            self.store.update("workers", controller.row, {"visible_devices": grant.device})
        try:
            self.pool.start_worker(controller, grant)
        except OSError as error:
            self.pool.release(grant)
            self.failures.on_load_failure(controller, controller.loading.on_start_failure(error))

    def on_worker_exit(self, controller: WorkerController) -> None:
        """Handle a worker's exit: retry the load, fall back, quarantine, or continue."""
        self.changed = True
        self.pool.remove(controller)
        model, departure = controller.model, controller.finalize()
        self.sessions[model.sweep].why[model.first] = departure.row.get("message")
        if not departure.loaded:
            if not controller.draining:
                self.failures.on_load_failure(controller, departure.row)
            return
        self.store.increment(model.id, "load_failures", 0)
        if departure.ended:
            self.store.increment(model.id, "worker_failures", 0)
        if controller.server.unavailable and not controller.draining:
            self.failures.rest(controller, departure.row)
            return
        if not departure.lost_a_run or controller.draining:
            return
        failures = self.store.increment(model.id, "worker_failures")
        if failures >= model.limits.worker_failures and not self.interrupts:
            self.failures.quarantine(model, failures, departure.row.get("message"))

    # Requests, signals, end time.

    def on_queue_change(self, effect: QueueChange) -> None:
        """Apply a request from another terminal; the database is already changed."""
        self.changed = True
        log.debug("the queue changed: %s", effect)
        for (uid, model), jobs in effect.skipped.items():
            self.emit(stream.JobsCancelled(sweep=uid, model=model, jobs=jobs))
        for sweep, session in self.sessions.items():
            if sweep in effect.recounted and not session.ended:
                session.recount()
        now = self.hours.now_text()
        for controller in self.pool:
            if controller.running is not None:
                if controller.running.job.id in effect.cancelled:
                    controller.cancel()
            elif not controller.loaded and self.queue.claim(controller.model.id, now) is None:
                controller.cancel()

    def on_signal(self, number: int) -> None:
        """First Ctrl-C: finish current runs. A second one, SIGTERM or SIGHUP: kill them."""
        if number in CONTINUED:
            self.pauses.was_continued = True
            return
        self.interrupts += 1
        at_once = number in AT_ONCE or self.interrupts > 1
        log.warning("received %s", signal.Signals(number).name)
        self.emit(stream.Interrupting(signal=signal.Signals(number).name, at_once=at_once))
        for controller in self.pool:
            controller.interrupt() if at_once else controller.drain()
        if at_once:
            self.failures.batches.clear()

    def stop_at_deadline(self) -> None:
        """Stop at the end time, or when no job fits before it; current jobs are requeued."""
        if not self.hours.over:
            self.hours.over = True
            log.info("time limit reached; remaining jobs stay queued")
            self.emit(
                stream.DeadlineReached(
                    deadline=format_timestamp(self.terms.until or self.hours.now())
                )
            )
        for controller in self.pool:
            controller.interrupt(why="time limit reached")

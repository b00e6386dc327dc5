"""Works a sweep's queue: one event loop, one thread, workers behind attendants.

It decides which model gets a worker and when to give a model up, and turns signals into an
orderly end. What happens to a single worker is `runner.work.attendant`'s business.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from schemas import stream
from schemas.stream import Tell

from ..database.store import Store
from .attendant import Attendant
from .launch import Launcher, ShimLauncher
from .queue import Queue, QueuedJob, QueuedModel
from .running import Running

GENTLE = {signal.SIGINT}
AT_ONCE = {signal.SIGTERM, signal.SIGHUP}
IDLE_S = 3600.0


@dataclass(slots=True)
class Course:
    """A model's way through the sweep.

    `ways` are how to load it that are still to be tried, the one in use first; `failed` are the
    jobs that did not end ok in it; `deaths` counts the workers lost in a row, and `why` is the
    last thing that went wrong.
    """

    ways: list[QueuedModel]
    jobs: deque[QueuedJob]
    failed: list[QueuedJob] = field(default_factory=list)
    deaths: int = 0
    why: str | None = None

    @property
    def model(self) -> QueuedModel:
        """The way in use."""
        return self.ways[0]

    def next_way(self) -> None:
        """Turns to the next way, with what failed in this one and what it never came to."""
        self.ways.pop(0)
        self.jobs = deque(sorted([*self.failed, *self.jobs], key=lambda job: job.id))
        self.failed, self.deaths = [], 0


class Supervisor:
    """Runs one sweep to its end, or to an interruption."""

    def __init__(self, store: Store, tell: Tell, launcher: Launcher | None = None) -> None:
        self.store, self.tell = store, tell
        self.launcher = launcher or ShimLauncher()
        self.selector = selectors.DefaultSelector()
        self.attendant: Attendant | None = None
        self.interrupts = 0

    def run(self, sweep: int) -> str:
        """Works until nothing is queued; returns the sweep's state, done or interrupted."""
        began = time.monotonic()
        self.queue = Queue(self.store.connection, sweep)
        self.uid, self.name = self.store.connection.execute(
            "SELECT uid, name FROM sweeps WHERE id = ?", [sweep]
        ).fetchone()
        self.folder = self.store.folder(f"logs/{self.uid}")
        self.store.set_sweep_state(sweep, "running")
        courses = [self.course(model) for model in self.queue.models()]
        self.announce(courses)
        with self.signals():
            for course in courses:
                self.give_up_broken(course)
                while not self.interrupts and (course.jobs or self.fall_back(course)):
                    self.one_worker(sweep, course)
        state = "interrupted" if self.interrupts else "done"
        self.store.set_sweep_state(sweep, state)
        self.tell_end(sweep, state, time.monotonic() - began)
        return state

    def course(self, model: QueuedModel) -> Course:
        """A model's way, from its first worker to its last."""
        ways = [model, *self.queue.fallbacks(model.id)]
        return Course(ways, deque(self.queue.jobs(model.id)))

    # Jobs that no worker can help.

    def give_up_broken(self, course: Course) -> None:
        """Jobs whose picture could not be prepared fail without costing a load."""
        waiting, course.jobs = course.jobs, deque()
        for job in waiting:
            if job.broken is None:
                course.jobs.append(job)
                continue
            run = Running(self.store, self.tell, course.model, job)
            run.fail({"outcome": "error", "phase": "prepare", **job.broken})

    def quarantine(self, course: Course) -> None:
        """Skips what a model has left, after it cost too many workers."""
        why = f"skipped after {course.deaths} workers were lost in a row, the last: {course.why}"
        while course.jobs:
            run = Running(self.store, self.tell, course.model, course.jobs.popleft())
            run.fail({"outcome": "skipped", "error_class": "quarantined", "message": why})

    def fall_back(self, course: Course) -> bool:
        """Turns to another way to load the model, if one is left and something is to be done."""
        if len(course.ways) == 1 or not (course.failed or course.jobs):
            return False
        course.next_way()
        load = course.model.load
        to, jobs = f"{load.model} ({load.engine})", len(course.jobs)
        self.tell(stream.FallingBack(model=course.model.name, to=to, jobs=jobs, why=course.why))
        return True

    # Workers.

    def one_worker(self, sweep: int, course: Course) -> None:
        """One worker's life, from its start until it and all its offspring are gone."""
        left, last_way = len(course.jobs), len(course.ways) == 1
        attendant = Attendant(
            self.store, self.tell, course.model, course.jobs, sweep, self.folder, last_way
        )
        attendant.begin(self.launcher)
        self.attendant = attendant
        try:
            self.attend(attendant)
        finally:
            self.attendant = None
            departure = attendant.bury()
        course.failed += attendant.failed
        course.why = departure.why or course.why
        if not departure.loaded:
            return
        answered = left - len(course.jobs) - departure.lost_a_run
        course.deaths = (0 if answered else course.deaths) + departure.lost_a_run
        given_up = course.deaths >= course.model.limits.worker_deaths and not self.interrupts
        if given_up and not self.fall_back(course):
            self.quarantine(course)

    def attend(self, attendant: Attendant) -> None:
        """The event loop around one worker; returns when its shim is gone."""
        hold = attendant.process.hold
        hear = {
            hold.events_fd: attendant.hear,
            hold.reports_fd: attendant.process.hear_reports,
        }
        for descriptor, take in hear.items():
            self.selector.register(descriptor, selectors.EVENT_READ, take)
        try:
            while hold.reports_fd in hear:
                wait_s = attendant.wake_at() - time.monotonic()
                for key, _ in self.selector.select(max(0, min(wait_s, IDLE_S))):
                    if not key.data():
                        self.selector.unregister(key.fd)
                        del hear[key.fd]
                attendant.tick()
        finally:
            for descriptor in hear:
                self.selector.unregister(descriptor)

    # Signals.

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Turns signals into bytes on a pipe of the loop's, and back again afterwards."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        self.selector.register(reader, selectors.EVENT_READ, lambda: self.signalled(reader))
        wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        before = {number: signal.signal(number, lambda *_: None) for number in GENTLE | AT_ONCE}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            self.selector.unregister(reader)
            os.close(reader)
            os.close(writer)

    def signalled(self, reader: int) -> bool:
        """The first Ctrl-C lets the run in hand finish; a second, or TERM or HUP, does not."""
        for number in os.read(reader, 64):
            if number not in GENTLE | AT_ONCE:
                continue
            self.interrupts += 1
            at_once = number in AT_ONCE or self.interrupts > 1
            self.tell(stream.Interrupting(signal=signal.Signals(number).name, at_once=at_once))
            if self.attendant is not None:
                self.attendant.interrupt() if at_once else self.attendant.drain()
        return True

    # What is told.

    def announce(self, courses: list[Course]) -> None:
        """Tells what the sweep holds."""
        self.tell(
            stream.SweepStarted(
                sweep=self.uid,
                name=self.name,
                database=str(self.store.path),
                models=[course.model.name for course in courses],
                jobs=sum(len(course.jobs) for course in courses),
                jobs_by_model={course.model.name: len(course.jobs) for course in courses},
            )
        )

    def tell_end(self, sweep: int, state: str, elapsed_s: float) -> None:
        """Tells how it ended."""
        ok, failed, skipped, waiting = self.store.connection.execute(
            "SELECT sum(ok), sum(failed), sum(skipped), sum(waiting) FROM summary"
            " WHERE sweep_id = ?",
            [sweep],
        ).fetchone()
        self.tell(
            stream.SweepFinished(
                sweep=self.uid,
                state=state,
                ok=ok,
                failed=failed,
                skipped=skipped,
                waiting=waiting,
                elapsed_s=elapsed_s,
            )
        )

"""Works a queue: one event loop, one thread, workers behind attendants.

It decides which model gets a worker and when to give a model up, and turns signals and the hour
into an orderly end. What happens to a single worker is `runner.work.attendant`'s business, what is
asked from other terminals `runner.control`'s.
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from schemas import stream
from schemas.stream import Tell

from ..control.actions import Effect
from ..control.listener import Listener
from ..database.estimates import Estimate, estimate
from ..database.store import Store
from ..times import as_text
from . import retry, signals
from .abandon import Abandoned
from .attendant import Attendant
from .chapter import Chapter
from .launch import Launcher, ShimLauncher
from .queue import Queue, QueuedJob, QueuedModel
from .running import Running
from .terms import Grant, Room, Terms

GENTLE = {signal.SIGINT}
AT_ONCE = {signal.SIGTERM, signal.SIGHUP}
IDLE_S = 3600.0
LOOK_S = 20.0  # how often the time of day is looked at while an hour is waited for


class Supervisor:
    """Works the jobs of one sweep or of the whole queue, to their end or to an interruption."""

    def __init__(
        self,
        store: Store,
        tell: Tell,
        launcher: Launcher | None = None,
        terms: Terms | None = None,
        listener: Listener | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store, self.tell, self.now = store, tell, now
        self.launcher = launcher or ShimLauncher()
        self.terms = terms or Terms()
        self.room = Room(self.terms)
        self.selector = listener.selector if listener else selectors.DefaultSelector()
        if listener is not None:
            listener.heed = self.heed
        self.attendants: dict[Attendant, Grant] = {}
        self.abandoned: list[Abandoned] = []
        self.chapters: dict[int, Chapter] = {}
        self.resting: dict[int, float] = {}
        self.interrupts = 0
        self.over = False
        self.changed = True
        self.looked_at = 0.0

    def run(self, sweep: int) -> str:
        """Works one sweep; returns its state, done or interrupted."""
        self.queue = Queue(self.store.connection, sweep)
        self.begin(sweep)
        self.loop(stay=False)
        return self.chapters[sweep].state

    def work(self) -> bool:
        """Works the queue; returns whether it came to its end, and was not interrupted."""
        self.queue = Queue(self.store.connection)
        self.loop(self.terms.stay)
        return not self.interrupts

    def loop(self, stay: bool) -> None:
        """Turns until there is nothing to do and, unless it is to `stay`, nothing to wait for."""
        with signals.heard(GENTLE | AT_ONCE, self.selector, self.signalled), self.none_left():
            while True:
                self.look()
                if not (self.attendants or self.abandoned or self.waits(stay)):
                    break
                self.turn()
        for chapter in self.chapters.values():
            chapter.stop()

    @contextmanager
    def none_left(self) -> Iterator[None]:
        """Whatever goes wrong here, a full disk say: no worker outlives it."""
        try:
            yield
        finally:
            for attendant in self.attendants:
                attendant.process.hold.kill()
            for attendant in self.attendants:
                attendant.process.hold.close()

    def waits(self, stay: bool) -> bool:
        """Whether something may still come to be done, with no worker there."""
        if self.over or self.interrupts:
            return False
        return stay or bool(self.resting) or bool(self.queue.open_sweeps())

    def turn(self) -> None:
        """Waits for what happens next, and lets it happen."""
        wait_s = 0.0 if self.abandoned else max(0.0, self.wake_at() - time.monotonic())
        for key, _ in self.selector.select(min(wait_s, IDLE_S)):
            key.data()
        for attendant in list(self.attendants):
            if attendant.gone:
                self.bury(attendant)
            else:
                attendant.tick()
        if self.abandoned:
            self.abandoned = [one for one in self.abandoned if one.step()]
            self.changed = True
        if self.terms.until is not None and self.now() >= self.terms.until:
            self.stop_at_the_hour()

    def wake_at(self) -> float:
        """When to turn even if nothing happens, monotonic seconds."""
        times = [attendant.wake_at() for attendant in self.attendants]
        times += self.resting.values() if not self.interrupts else ()
        hours = [self.terms.until] if self.terms.until is not None and not self.over else []
        free = len(self.attendants) < self.terms.workers
        if free and (waited := self.queue.waits_for(as_text(self.now()))):
            hours.append(datetime.fromisoformat(waited))
        # Looked at again and again: the clock may be set, and the machine may sleep.
        times += [
            time.monotonic() + min(LOOK_S, max(0.0, (hour - self.now()).total_seconds()))
            for hour in hours
        ]
        return min(times, default=float("inf"))

    # What to do next.

    def look(self) -> None:
        """Sees what has ended and what may begin, when something happened or some time passed."""
        now = time.monotonic()
        if self.changed or not self.attendants or now - self.looked_at >= LOOK_S:
            self.changed, self.looked_at = False, now
            self.settle()
            self.fill()

    def fill(self) -> None:
        """Starts workers, in the queue's order, while there is room."""
        if self.interrupts or self.over:
            return
        clock = time.monotonic()
        self.resting = {way: until for way, until in self.resting.items() if until > clock}
        busy = {attendant.model.first for attendant in self.attendants}
        busy |= {one.model.first for one in self.abandoned}
        late = False
        for model in self.queue.ready(as_text(self.now())):
            if len(self.attendants) >= self.terms.workers:
                return
            if model.first in busy or model.id in self.resting:
                continue
            expected = self.expected(model)
            if self.too_late(expected, loaded=False):
                late = True
                continue
            grant = self.room.ask(expected, model.load.device, model.load.engine)
            if grant is None:
                return
            busy.add(model.first)
            self.start(model, grant)
        if late and not self.attendants and not self.abandoned:
            self.stop_at_the_hour()

    def expected(self, model: QueuedModel) -> Estimate:
        """What history says of a model."""
        source = "server" if model.load.url else "local" if model.load.local else "hub"
        return estimate(self.store.connection, source, model.load.model)

    def too_late(self, expected: Estimate, loaded: bool) -> bool:
        """Whether another job would likely end after the hour."""
        if self.terms.until is None:
            return False
        takes = expected.takes_s(1, loads=0 if loaded else 1) or 0.0
        return (self.terms.until - self.now()).total_seconds() <= takes

    def claim(self, model: QueuedModel) -> QueuedJob | None:
        """The next job for a worker that is there."""
        if self.terms.until is not None and self.too_late(self.expected(model), loaded=True):
            return None
        return self.queue.claim(model.id, as_text(self.now()))

    def begin(self, sweep: int) -> Chapter:
        """A sweep's first worker is about to be started."""
        if sweep in self.chapters and not self.chapters[sweep].ended:
            return self.chapters[sweep]
        chapter = self.chapters[sweep] = Chapter(self.store, self.tell, sweep)
        chapter.begin()
        for model, job in self.queue.broken(sweep):
            run = Running(self.store, chapter.tell, model, job)
            run.fail({"outcome": "error", "phase": "prepare", **(job.broken or {})})
        return chapter

    def settle(self) -> None:
        """Ends the sweeps that have nothing left."""
        open_sweeps = set(self.queue.open_sweeps())
        for sweep, chapter in self.chapters.items():
            if not chapter.ended and sweep not in open_sweeps:
                chapter.end()

    # Workers.

    def start(self, model: QueuedModel, grant: Grant) -> None:
        """Starts a worker for a model, and listens to it."""
        chapter = self.begin(model.sweep)
        if self.queue.claim(model.id, as_text(self.now())) is None:  # all of it was broken
            self.room.give_back(grant)
            return
        chapter.tell_way(model, self.queue.count(model.id))
        attendant = Attendant(
            self.store, chapter.tell, model, self.claim, Path(chapter.folder), grant.env
        )
        self.attendants[attendant] = grant
        if grant.device is not None:
            self.store.update("workers", attendant.row, {"visible_devices": grant.device})
        attendant.begin(self.launcher)
        self.listen(attendant)

    def listen(self, attendant: Attendant) -> None:
        """Hears the worker and its shim in the loop, each until the end of its stream."""
        hold = attendant.process.hold

        def register(descriptor: int, take: Callable[[], bool]) -> None:
            def hear() -> None:
                if not take():
                    self.selector.unregister(descriptor)
                    attendant.deaf(descriptor)

            self.selector.register(descriptor, selectors.EVENT_READ, hear)
            attendant.heard.add(descriptor)

        register(hold.events_fd, attendant.hear)
        register(hold.reports_fd, attendant.process.hear_reports)

    def bury(self, attendant: Attendant) -> None:
        """A worker and all its offspring are gone: what now with its model?"""
        for descriptor in attendant.heard:
            self.selector.unregister(descriptor)
        self.changed = True
        self.room.give_back(self.attendants.pop(attendant))
        model, departure = attendant.model, attendant.bury()
        self.chapters[model.sweep].why[model.first] = departure.row.get("message")
        if not departure.loaded:
            if not attendant.draining:
                self.not_loaded(attendant, departure.row)
            return
        if departure.ended:
            self.store.tally(model.id, "deaths", 0)
        if not departure.lost_a_run or attendant.draining:
            return
        deaths = self.store.tally(model.id, "deaths")
        if deaths >= model.limits.worker_deaths and not self.interrupts:
            self.quarantine(model, deaths, departure.row.get("message"))

    def not_loaded(self, attendant: Attendant, row: dict[str, object]) -> None:
        """The model could not be made ready: again, another way, or no way."""
        model, tell = attendant.model, self.chapters[attendant.model.sweep].tell
        pause_s = retry.of_load(self.store, model, row)
        if pause_s is not None:
            self.resting[model.id] = time.monotonic() + pause_s
            return
        self.abandoned.append(
            Abandoned(self.store, tell, self.queue, model, row, attendant.row, attendant.number)
        )

    def quarantine(self, model: QueuedModel, deaths: int, last: str | None) -> None:
        """Skips what a model has left, after it cost too many workers."""
        if model.next_way is not None:
            self.store.hand_on(model.id, model.next_way)
            return
        why = f"skipped after {deaths} workers were lost in a row, the last: {last}"
        row = {"outcome": "skipped", "error_class": "quarantined", "message": why}
        tell = self.chapters[model.sweep].tell
        tell(stream.Quarantined(model=model.name, jobs=self.queue.count(model.id), message=why))
        self.abandoned.append(Abandoned(self.store, tell, self.queue, model, row))

    # The end before the end.

    def heed(self, effect: Effect) -> None:
        """Something was asked from another terminal, and is in the database already."""
        self.changed = True
        for (sweep, model), jobs in effect.skipped.items():
            self.tell(stream.JobsCancelled(sweep=sweep, model=model, jobs=jobs))
        for chapter in self.chapters.values():
            if not chapter.ended:
                chapter.recount()
        now = as_text(self.now())
        for attendant in self.attendants:
            if attendant.running is not None:
                if attendant.running.job.id in effect.cancelled:
                    attendant.cancel()
            elif not attendant.loaded and self.queue.claim(attendant.model.id, now) is None:
                attendant.cancel()

    def signalled(self, number: int) -> None:
        """The first Ctrl-C lets the runs in hand finish; a second, or TERM or HUP, does not."""
        self.interrupts += 1
        at_once = number in AT_ONCE or self.interrupts > 1
        self.tell(stream.Interrupting(signal=signal.Signals(number).name, at_once=at_once))
        for attendant in self.attendants:
            attendant.interrupt() if at_once else attendant.drain()

    def stop_at_the_hour(self) -> None:
        """The hour has come, or is too near for anything more; what runs waits for another day."""
        if not self.over:
            self.over = True
            self.tell(stream.HourCame(until=as_text(self.terms.until or self.now())))
        for attendant in self.attendants:
            attendant.interrupt(why="the hour came until which jobs may run")

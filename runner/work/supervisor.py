"""Works a queue: one event loop, one thread, workers behind attendants.

It decides which model gets a worker and when to give a model up, and turns signals and the hour
into an orderly end. What happens to a single worker is `runner.work.attendant`'s business, what is
asked from other terminals `runner.control`'s.
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas import stream
from schemas.stream import Tell

from ..control.actions import Effect
from ..control.listener import Listener
from ..database.store import Store
from ..times import as_text
from . import retry, signals
from .abandon import Abandoned, broken
from .attendant import Attendant
from .chapter import Chapter
from .crew import Crew
from .hours import Hours
from .launch import Launcher, ShimLauncher
from .queue import Queue, QueuedJob, QueuedModel
from .terms import Grant, Terms

Row = dict[str, Any]
GENTLE = {signal.SIGINT}
AT_ONCE = {signal.SIGTERM, signal.SIGHUP}
LOOK_S = 20.0  # how often all is looked at again, though nothing was heard


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
        self.store, self.tell, self.listener = store, tell, listener
        self.terms = terms or Terms()
        self.hours = Hours(store.connection, now, self.terms.until)
        self.selector = listener.selector if listener else selectors.DefaultSelector()
        if listener is not None:
            listener.heed = self.heed
        self.crew = Crew(self.terms, launcher or ShimLauncher(), self.selector)
        self.abandoned: list[Abandoned] = []
        self.chapters: dict[int, Chapter] = {}
        self.resting: dict[int, float] = {}
        self.interrupts = 0
        self.stay = False
        self.changed = True
        self.look_at = 0.0

    def run(self, sweep: int) -> str:
        """Works one sweep; returns its state, done or interrupted."""
        self.queue = Queue(self.store.connection, sweep)
        self.begin(sweep)
        self.loop()
        return self.chapters[sweep].state

    def work(self) -> bool:
        """Works the queue; returns whether it came to its end, and was not interrupted."""
        self.queue = Queue(self.store.connection)
        self.stay = self.terms.stay
        self.loop()
        return not self.interrupts

    def loop(self) -> None:
        """Turns until there is nothing to do and, unless it is to stay, nothing to wait for."""
        with signals.heard(GENTLE | AT_ONCE, self.selector, self.signalled), self.crew.none_left():
            while True:
                self.look()
                if not (self.crew or self.abandoned or self.waits()):
                    break
                self.turn()
        self.settle()
        for chapter in self.chapters.values():
            chapter.stop()

    def waits(self) -> bool:
        """Whether something may still come to be done, with no worker there."""
        if self.hours.over or self.interrupts:
            return False
        return self.stay or bool(self.queue.open_sweeps())

    def turn(self) -> None:
        """Waits for what happens next, and lets it happen."""
        times = [self.look_at, *(attendant.wake_at() for attendant in self.crew)]
        wait_s = 0.0 if self.abandoned else max(0.0, min(times) - time.monotonic())
        for key, _ in self.selector.select(wait_s):
            key.data()
        for attendant in self.crew:
            self.bury(attendant) if attendant.gone else attendant.tick()
        if self.abandoned:
            self.abandoned = [one for one in self.abandoned if one.step()]
            self.changed = True
        if self.hours.come():
            self.stop_at_the_hour()

    # What to do next.

    def look(self) -> None:
        """Sees what has ended and what may begin, when something happened or some time passed."""
        now = time.monotonic()
        if not self.changed and self.crew and now < self.look_at:
            return
        self.changed = False
        self.store.check_in_place()
        if self.listener is not None:
            self.listener.renew()
        self.resting = {way: until for way, until in self.resting.items() if until > now}
        self.settle()
        self.fill()
        rests = (until - now for until in self.resting.values())
        self.look_at = now + min(LOOK_S, self.hours.next_s(self.queue), *rests)

    def fill(self) -> None:
        """Starts workers, in the queue's order, while there is room."""
        if self.interrupts or self.hours.over:
            return
        late = False
        for model in self.queue.ready(self.hours.text()):
            if self.crew.full:
                return
            if self.busy(model):
                continue
            if self.hours.too_late(model, loads=1):
                late = True
                continue
            grant = self.crew.ask(self.hours.expected(model), model)
            if grant is None:
                return
            self.start(model, grant)
            if self.abandoned:  # broken pictures come first, and nothing overtakes them
                return
        idle = not (self.crew or self.abandoned or self.resting)
        if late and idle and not self.stay and not self.hours.begin_later(self.queue):
            self.stop_at_the_hour()

    def busy(self, model: QueuedModel) -> bool:
        """Whether a model has a worker, in any sweep, or must not have one now."""
        if model.id in self.resting or self.crew.has(model):
            return True
        return any(one.model.first == model.first for one in self.abandoned)

    def claim(self, model: QueuedModel) -> QueuedJob | None:
        """The next job for a worker that is there, or about to be."""
        if self.hours.too_late(model, loads=0):
            return None
        job = self.queue.claim(model.id, self.hours.text())
        if job is not None and job.broken:  # it was taken up again: no model can be asked
            self.set_aside(model.sweep)
            job = self.queue.claim(model.id, self.hours.text())
        return None if job is None or job.broken else job

    def begin(self, sweep: int) -> Chapter:
        """A sweep's first worker is about to be started."""
        if sweep in self.chapters and not self.chapters[sweep].ended:
            return self.chapters[sweep]
        chapter = self.chapters[sweep] = Chapter(self.store, self.tell, sweep)
        chapter.begin()
        self.set_aside(sweep)
        return chapter

    def set_aside(self, sweep: int) -> None:
        """A sweep's jobs whose pictures are broken get their outcome."""
        self.changed = True
        self.abandoned += broken(self.store, self.chapters[sweep].tell, self.queue, sweep)

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
        if self.claim(model) is None:  # all of it was broken, or some of it still is
            self.crew.give_back(grant)
            return
        chapter.tell_way(model, self.queue.count(model.id))
        attendant = Attendant(
            self.store, chapter.tell, model, self.claim, Path(chapter.folder), grant.env
        )
        if grant.device is not None:
            self.store.update("workers", attendant.row, {"visible_devices": grant.device})
        try:
            self.crew.join(attendant, grant)
        except OSError as error:
            self.crew.give_back(grant)
            self.not_loaded(attendant, attendant.loading.not_begun(error))

    def bury(self, attendant: Attendant) -> None:
        """A worker and all its offspring are gone: what now with its model?"""
        self.changed = True
        self.crew.leave(attendant)
        model, departure = attendant.model, attendant.bury()
        self.chapters[model.sweep].why[model.first] = departure.row.get("message")
        if not departure.loaded:
            if not attendant.draining:
                self.not_loaded(attendant, departure.row)
            return
        self.store.tally(model.id, "load_tries", 0)
        if departure.ended:
            self.store.tally(model.id, "deaths", 0)
        if not departure.lost_a_run or attendant.draining:
            return
        deaths = self.store.tally(model.id, "deaths")
        if deaths >= model.limits.worker_deaths and not self.interrupts:
            self.quarantine(model, deaths, departure.row.get("message"))

    def not_loaded(self, attendant: Attendant, row: Row) -> None:
        """The model could not be made ready: again, another way, or no way."""
        model = attendant.model
        if (pause_s := retry.of_load(self.store, model, row)) is not None:
            self.resting[model.id] = time.monotonic() + pause_s
        else:
            self.give_up(model, row, model.next_way, attendant.row, attendant.number)

    def quarantine(self, model: QueuedModel, deaths: int, last: str | None) -> None:
        """Skips what a model has left, after it cost too many workers."""
        if model.next_way is not None:
            self.store.hand_on(model.id, model.next_way)
            return
        why = f"skipped after {deaths} workers were lost in a row, the last: {last}"
        row: Row = {"outcome": "skipped", "error_class": "quarantined", "message": why}
        jobs = self.queue.count(model.id)
        tell = self.chapters[model.sweep].tell
        tell(stream.Quarantined(model=model.name, jobs=jobs, message=why))
        self.give_up(model, row)

    def give_up(
        self,
        model: QueuedModel,
        row: Row,
        way: int | None = None,
        worker: int | None = None,
        number: int | None = None,
    ) -> None:
        """All that waits in a way goes to another, or gets its last row."""
        self.changed = True
        jobs, tell = self.queue.waiting(model.id), self.chapters[model.sweep].tell
        self.abandoned.append(
            Abandoned(self.store, tell, self.queue, model, jobs, row, way, worker, number)
        )

    # The end before the end.

    def heed(self, effect: Effect) -> None:
        """Something was asked from another terminal, and is in the database already."""
        self.changed = True
        for (uid, model), jobs in effect.skipped.items():
            self.tell(stream.JobsCancelled(sweep=uid, model=model, jobs=jobs))
        for sweep, chapter in self.chapters.items():
            if sweep in effect.recounted and not chapter.ended:
                chapter.recount()
        now = self.hours.text()
        for attendant in self.crew:
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
        for attendant in self.crew:
            attendant.interrupt() if at_once else attendant.drain()
        if at_once:
            self.abandoned.clear()

    def stop_at_the_hour(self) -> None:
        """The hour has come, or is too near for anything more; what runs waits for another day."""
        if not self.hours.over:
            self.hours.over = True
            self.tell(stream.HourCame(until=as_text(self.terms.until or self.hours.now())))
        for attendant in self.crew:
            attendant.interrupt(why="the hour came until which jobs may run")

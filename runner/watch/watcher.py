"""The watcher: opens the database, detects running sweeps, and follows them.

It waits for a database that does not exist yet, is replaced, or is unreadable for a while. It
reports a sweep whose state is `running` without a supervisor.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from schemas import stream
from schemas.states import SweepState
from schemas.stream import EventSink

from ..database.liveness import has_supervisor, last_written_at
from ..database.reader import Reader
from ..errors import DatabaseError
from ..view.sweep_state import gone_message
from .follower import SweepFollower
from .queries import BATCH, Row, WatchQueries

QUIET_S = 3.0  # a living supervisor writes more often while a worker of it lives
TIMEOUT_S = 5.0


class Watcher:
    """Polls a database. With `only`, a uid, it follows that sweep alone."""

    def __init__(
        self, database: Path, emit: EventSink, only: str | None = None, *, waits: bool = True
    ) -> None:
        self.waits = waits
        self.database, self.emit, self.only = database, emit, only
        self.reader: Reader | None = None
        self.said: stream.WatchIdle | None = None
        self.troubled_since: float | None = None
        self.events: list[stream.StreamEvent] = []
        self.questions = WatchQueries()
        self.reset()

    def reset(self) -> None:
        """Forget the state of the database."""
        self.followed: dict[int, SweepFollower] = {}
        self.open: dict[int, str] = {}
        self.ended: set[int] = set()
        self.newest_run = 0
        self.version: int | None = None
        self.file: tuple[int, int, bool] | None = None
        self.score_at = float("-inf")

    def close(self) -> None:
        """Close the connection."""
        if self.reader is not None:
            self.reader.connection.close()
            self.reader = None

    def poll(self) -> bool:
        """Poll once; False when the only requested sweep has ended."""
        going_on = True
        try:
            if self.opened():
                going_on = self.poll_changes()
                self.troubled_since = None
        except (sqlite3.Error, DatabaseError) as error:
            self.on_error(error)
        # Emitted after the file was let go of: whoever reads slowly must keep no transaction open.
        events = self.events.copy()
        self.events.clear()
        for event in events:
            self.emit(event)
        return going_on

    def on_error(self, error: Exception) -> None:
        """The database is unreadable; report it after TIMEOUT_S."""
        self.close()
        now = time.monotonic()
        self.troubled_since = self.troubled_since or now
        if isinstance(error, DatabaseError):
            self.reset()
            self.say("no_database", error.message)
        elif now - self.troubled_since >= TIMEOUT_S:
            self.reset()
            self.say("no_database", f"cannot read {self.database}: {error}")

    # The file.

    def opened(self) -> bool:
        """Open the database if it exists, and again if the file was replaced; return success."""
        found = self.found()
        if found is None:
            self.close()
            self.reset()
            self.say(
                "no_database",
                f"There is no database at {self.database} yet{'; waiting' * self.waits}.",
            )
            return False
        if self.reader is not None and found != self.file:
            self.close()
            if self.file is None or found[:2] != self.file[:2]:
                self.reset()
        if self.reader is None:
            self.reader = Reader(self.database)
            self.questions.connect(self.reader.connection)
            self.version, self.file = None, self.found()
        return True

    def found(self) -> tuple[int, int, bool] | None:
        """Return the file's identity, and whether it has a WAL; None without a file.

        Without a WAL SQLite may treat a file as immutable, and never read changes.
        """
        try:
            status = self.database.stat()
        except OSError:
            return None
        logged = self.database.with_name(self.database.name + "-wal").exists()
        return status.st_dev, status.st_ino, logged

    def poll_changes(self) -> bool:
        """Read all changes in one transaction."""
        going_on = True
        version = int(self.questions.one("PRAGMA data_version"))
        now = time.monotonic()
        if version != self.version or any(one.due() for one in self.followed.values()):
            with self.questions.read_transaction():
                caught_up = self.look_at_runs()
                if caught_up:
                    going_on = self.look_at_sweeps()
            self.version = version if caught_up else None
            self.score_at = now + QUIET_S
        elif self.followed and now >= self.score_at:
            self.score_at = now + 1
            if not has_supervisor(self.database):
                self.report_no_supervisor(self.questions.sweep(next(iter(self.followed))))
        return going_on

    # Its contents.

    def look_at_runs(self) -> bool:
        """Have followers read new runs; return whether these were all."""
        newest = self.questions.newest_run()
        self.newest_run = min(self.newest_run, newest)  # the newest may have been pruned
        rows = self.questions.new_runs(self.newest_run) if self.followed else []
        caught_up = len(rows) < BATCH
        for id, follower in self.followed.items():
            follower.poll([row for row in rows if row["sweep_id"] == id], caught_up)
        self.newest_run = newest if caught_up else rows[-1]["id"]
        return caught_up

    def look_at_sweeps(self) -> bool:
        """Join sweeps that started and end those that finished; False when the only one did."""
        before, self.open = self.open, self.questions.open_sweeps()
        running = {id for id, state in self.open.items() if state == SweepState.RUNNING}
        ended = {id for id in self.followed if id not in running}
        missed = {id for id in before if id not in self.open} - ended
        for id in ended | missed:
            if (row := self.questions.sweep(id)) and self.wanted(row):
                (self.followed.get(id) or self.join(row)).end(row)
                self.ended.add(id)
            self.followed.pop(id, None)
        for id in sorted(running - self.followed.keys()):
            if (row := self.questions.sweep(id)) and self.wanted(row):
                if not has_supervisor(self.database):
                    self.report_no_supervisor(row)
                    return True
                self.followed[id] = self.join(row)
        if self.followed:
            return True
        return self.report_idle() if self.only is None else self.report_target_state()

    def wanted(self, sweep: Row) -> bool:
        """Return whether a sweep is requested, and has ever started."""
        return self.only in (None, sweep["uid"]) and sweep["started_at"] is not None

    def join(self, sweep: Row) -> SweepFollower:
        """Start following a sweep."""
        self.said = None
        follower = SweepFollower(self.questions, self.events.append, sweep, str(self.database))
        follower.join(sweep)
        return follower

    # When there is nothing to show.

    def say(self, state: stream.WatchingState, message: str) -> None:
        """Emit once why no sweep is shown."""
        event = stream.WatchIdle(state=state, message=message)
        if event != self.said:
            self.said = event
            self.events.append(event)

    def report_no_supervisor(self, sweep: Row | None) -> None:
        """Report a sweep in state `running` without a supervisor."""
        self.followed = {}
        if sweep is not None and self.reader is not None:
            row = dict(sweep)
            self.say("supervisor_gone", gone_message(row, last_written_at(self.reader, row)))

    def report_idle(self) -> bool:
        """Report that no sweep is running; the next one is awaited."""
        queued = sum(state == SweepState.QUEUED for state in self.open.values())
        waiting = f" {queued} in the queue." if queued else ""
        then = " Waiting for one to begin." if self.waits else ""
        self.say("nothing_running", f"No sweep is running.{waiting}{then}")
        return True

    def report_target_state(self) -> bool:
        """Report that the requested sweep is queued; False if it has ended."""
        row = self.questions.sweep_of(self.only)
        if row is not None and row["state"] == SweepState.QUEUED:
            self.say("nothing_running", f"{row['name'] or row['uid']} waits in the queue.")
            return True
        if row is not None and row["id"] not in self.ended:
            self.join(row).end(row)
        return False

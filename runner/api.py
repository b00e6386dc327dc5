"""The spine from a plan to a sweep that ran: prepare the images, store the jobs, supervise.

The command line, the demo and the overnight queue all come through here. It parses no
options and prints nothing; what a user's wish comes to is `runner.planning.request`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas import stream
from schemas.image import PreparedImage
from schemas.states import SweepState
from schemas.stream import EventSink

from .control.client import send_request
from .control.server import ControlServer
from .database import recovery, sweep_writer
from .database.open_store import open_store
from .database.reader import Reader
from .database.store import Store, files_folder, unusable_error
from .environments import resolve
from .errors import EXIT_INTERRUPTED, EXIT_JOBS_FAILED, EXIT_OK, DatabaseError
from .image_prep import prepare as prepare_module
from .image_prep.restore import restore_images
from .planning.plan import Plan
from .preflight import run as run_module
from .supervisor.queue import Queue
from .supervisor.resources import SupervisorLimits
from .supervisor.supervisor import Supervisor
from .system import environment
from .text.sanitize import display_path

if TYPE_CHECKING:
    from .process.launcher import Launcher


LOCK_WAIT_S = (
    3.0  # another terminal's request, carried out by itself, may hold the file for a moment
)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """A sweep that ran: its row, its end (done or interrupted), and where it is stored."""

    id: int
    state: str
    database: Path


@dataclass(frozen=True, slots=True)
class QueueResult:
    """The queue as it was worked: the sweeps begun, and whether it came to its end by itself."""

    sweeps: list[int]
    whole: bool
    database: Path


def run(
    plan: Plan,
    database: Path,
    emit: EventSink,
    launcher: Launcher | None = None,
    terms: SupervisorLimits | None = None,
) -> SweepResult:
    """Runs all jobs of a plan, every one of them stored. Blocks until done or interrupted."""
    plan, _ = resolve.resolve(plan, emit)
    with open_for_work(database, emit) as (store, listener):
        made = prepare(plan, store, emit, listener.poll)
        sweep = sweep_writer.add_sweep(store, plan, made, environment.supervisor_environment())
        state = Supervisor(store, emit, launcher, terms, listener).run_sweep(sweep)
        return SweepResult(sweep, state, database)


def resume(
    database: Path,
    sweep: int,
    emit: EventSink,
    launcher: Launcher | None = None,
    terms: SupervisorLimits | None = None,
) -> SweepResult:
    """Runs the jobs of a stored sweep that are missing or did not end ok."""
    with open_for_work(database, emit) as (store, listener):
        recovery.requeue_sweep(store, sweep)
        restore(store, sweep, emit, listener.poll)
        run_module.recheck_queue(Queue(store.connection, sweep), database, emit)
        state = Supervisor(store, emit, launcher, terms, listener).run_sweep(sweep)
        return SweepResult(sweep, state, database)


def work_queue(
    database: Path,
    emit: EventSink,
    terms: SupervisorLimits,
    launcher: Launcher | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> QueueResult:
    """Works the queue, until nothing is left, the hour comes, or it is interrupted."""
    with open_for_work(database, emit) as (store, listener):
        supervisor = Supervisor(store, emit, launcher, terms, listener, now)
        for (sweep,) in store.connection.execute(
            "SELECT id FROM sweeps WHERE in_queue AND state <> 'done' ORDER BY id"
        ).fetchall():
            restore(store, sweep, emit, listener.poll)
        run_module.recheck_queue(Queue(store.connection), database, emit)
        whole = supervisor.run_queue()
        return QueueResult(list(supervisor.sessions), whole, database)


@contextmanager
def open_for_work(database: Path, emit: EventSink) -> Iterator[tuple[Store, ControlServer]]:
    """The database, held by us alone, and an ear for other terminals."""
    with open_store(database, emit, LOCK_WAIT_S) as store, ControlServer(store) as listener:
        yield store, listener


def enqueue(plan: Plan, database: Path, emit: EventSink, terms: dict[str, Any]) -> dict[str, Any]:
    """Puts a plan into the queue: prepared here, handed over whole to whoever may write.

    `terms` are label, priority, not_before and after_sweep_id. Returns the sweep's number, uid
    and count of jobs.
    """
    plan, _ = resolve.resolve(plan, emit)
    folder = files_folder(database) / "queue"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_error(database, error) from error
    staged = folder / f"{secrets.token_hex(8)}.db"
    try:
        with closing(Store(staged)) as store:
            made = prepare(plan, store, emit, folder=files_folder(database) / "images")
            ranks = known_ranks(plan, database)
            sweep = sweep_writer.add_sweep(
                store, plan, made, environment.supervisor_environment(), ranks
            )
            (uid,) = store.connection.execute(
                "SELECT uid FROM sweeps WHERE id = ?", [sweep]
            ).fetchone()
            store.connection.execute("PRAGMA journal_mode = DELETE")
        arguments = {"staged": str(staged), "uid": uid, **terms}
        return send_request(database, "add", arguments, emit)
    finally:
        for left in folder.glob(staged.name + "*"):
            left.unlink(missing_ok=True)


def known_ranks(plan: Plan, database: Path) -> dict[int, int] | None:
    """The models' order by the history there is; None where there is none yet."""
    try:
        with Reader(database) as reader:
            return sweep_writer.model_ranks(reader.connection, plan)
    except DatabaseError:
        return None


def prepare(
    plan: Plan,
    store: Store,
    emit: EventSink,
    on_idle: Callable[[], None] = lambda: None,
    folder: Path | None = None,
) -> list[PreparedImage]:
    """The plan's images, each told of as it is done; `between` is called after each."""
    done = 0

    def on_image(image: PreparedImage) -> None:
        nonlocal done
        done += 1
        emit(
            stream.ImagePrepared(
                path=display_path(image.path),
                done=done,
                total=len(plan.images),
                error_class=image.error_class,
                message=image.message,
            )
        )
        on_idle()

    side, frames = plan.sweep.image.max_side, plan.sweep.video.frames
    try:
        folder = folder or store.folder("images")
        return prepare_module.prepare(
            plan.images, max_side=side, max_frames=frames, folder=folder, on_image=on_image
        )
    except OSError as error:
        raise DatabaseError(
            f"cannot keep images beside {store.path}: {error}",
            hint="free some room or give another place with --db",
        ) from error


def restore(store: Store, sweep: int, emit: EventSink, on_idle: Callable[[], None]) -> None:
    """Makes again what a sweep needs and somebody has deleted."""
    restore_images(store, sweep, on_idle)
    restore_environments(store, sweep, emit, on_idle)


def restore_environments(
    store: Store, sweep: int, emit: EventSink, on_idle: Callable[[], None]
) -> None:
    """Makes environments again that are gone, or could not be made."""
    rows = store.connection.execute(
        "SELECT name, python FROM sweep_models WHERE sweep_id = ? AND python IS NOT NULL"
        " AND requirements IS NOT NULL",
        [sweep],
    ).fetchall()
    resolve.restore(rows, emit, on_idle)


def exit_code(state: str, summary: Iterable[Mapping[str, Any]]) -> int:
    """What a shell is told of a sweep. Jobs that a rule skipped are no failures."""
    if state != SweepState.DONE:
        return EXIT_INTERRUPTED
    wrong = sum(row["failed"] + row["waiting"] for row in summary)
    return EXIT_JOBS_FAILED if wrong else EXIT_OK


def exit_code_of_queue(worked: QueueResult) -> int:
    """What a shell is told of a queue that was worked: what is left waits, and is no failure."""
    if not worked.whole:
        return EXIT_INTERRUPTED
    with Reader(worked.database) as reader:
        failed = any(row["failed"] for sweep in worked.sweeps for row in reader.summary(sweep))
    return EXIT_JOBS_FAILED if failed else EXIT_OK

"""The API: `run`, `resume`, `work_queue` and `enqueue`.

It alone resolves environments and runs the preflight, exactly once, whoever calls. It parses no
options and prints nothing; `runner.planning.request` builds the plans.
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
from .database.file_names import files_folder
from .database.lock import check_free
from .database.open_store import open_store
from .database.reader import Reader
from .database.store import Store
from .database.usable import check_usable
from .environments.resolve import resolve_environments, restore_environments
from .errors import EXIT_INTERRUPTED, EXIT_JOBS_FAILED, EXIT_OK, DatabaseError
from .image_prep.prepare import prepare_images
from .image_prep.restore_images import restore_images
from .paths import unusable_database
from .planning.plan import Plan
from .preflight import run as preflight
from .supervisor.queue import Queue
from .supervisor.resources import SupervisorLimits
from .supervisor.supervisor import Supervisor
from .system import environment
from .text.sanitize import display_path

if TYPE_CHECKING:
    from .process.launcher import Launcher


LOCK_WAIT_S = 3.0  # another terminal may hold the lock for a moment, to change the queue


@dataclass(frozen=True, slots=True)
class SweepResult:
    """A sweep that ran: its number, its state (done or interrupted), and its database."""

    id: int
    state: str
    database: Path


@dataclass(frozen=True, slots=True)
class QueueResult:
    """The sweeps that were started, and whether the queue ended without an interrupt."""

    sweeps: list[int]
    complete: bool
    database: Path


def run(
    plan: Plan,
    database: Path,
    emit: EventSink,
    launcher: Launcher | None = None,
    limits: SupervisorLimits | None = None,
    *,
    strict: bool = False,
) -> SweepResult:
    """Runs all jobs of a plan, and stores every run. Blocks until done or interrupted.

    Raises PreflightError when `strict` and some jobs would fail, and DatabaseError when the
    database cannot be used.
    """
    return run_checked(
        check_plan(plan, database, emit, strict=strict), database, emit, launcher, limits
    )


def check_plan(
    plan: Plan, database: Path, emit: EventSink, *, strict: bool = False, queued: bool = False
) -> Plan:
    """Checks the database path, creates the plan's environments, emits the preflight's findings.

    Returns the plan with the interpreter of each model. Raises DatabaseError when no sweep could be
    stored, by this process unless `queued`; PreflightError when `strict` and some jobs would fail.
    """
    check_usable(database)
    if not queued:
        check_free(database, LOCK_WAIT_S)
    plan, _ = resolve_environments(plan, emit)
    report = preflight.run_preflight(plan, database, made=True)
    preflight.emit_findings(report.findings, emit)
    if strict:
        preflight.raise_on_problems(report)
    return plan


def run_checked(
    plan: Plan,
    database: Path,
    emit: EventSink,
    launcher: Launcher | None = None,
    limits: SupervisorLimits | None = None,
) -> SweepResult:
    """Runs a plan, or a part of one, that `check_plan` returned. See `run`."""
    with open_for_work(database, emit) as (store, server):
        images = prepare_plan_images(plan, store, emit, server.poll)
        sweep = sweep_writer.add_sweep(store, plan, images, environment.supervisor_environment())
        state = Supervisor(store, emit, launcher, limits, server).run_sweep(sweep)
        return SweepResult(sweep, state, database)


def resume(
    database: Path,
    sweep: int,
    emit: EventSink,
    launcher: Launcher | None = None,
    limits: SupervisorLimits | None = None,
) -> SweepResult:
    """Runs the jobs of a stored sweep that are missing or did not end ok. See `run`."""
    with open_for_work(database, emit) as (store, server):
        recovery.requeue_sweep(store, sweep)
        restore_and_check(store, [sweep], Queue(store.connection, sweep), emit, server.poll)
        state = Supervisor(store, emit, launcher, limits, server).run_sweep(sweep)
        return SweepResult(sweep, state, database)


def work_queue(
    database: Path,
    emit: EventSink,
    limits: SupervisorLimits,
    launcher: Launcher | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> QueueResult:
    """Runs the queued jobs until none is left, the time limit is reached, or an interrupt.

    Raises DatabaseError when the database cannot be used.
    """
    with open_for_work(database, emit) as (store, server):
        supervisor = Supervisor(store, emit, launcher, limits, server, now)
        rows = store.connection.execute(
            "SELECT id FROM sweeps WHERE in_queue AND state <> 'done' ORDER BY id"
        ).fetchall()
        sweeps = [sweep for (sweep,) in rows]
        restore_and_check(store, sweeps, Queue(store.connection), emit, server.poll)
        complete = supervisor.run_queue()
        return QueueResult(list(supervisor.sessions), complete, database)


def enqueue(
    plan: Plan,
    database: Path,
    emit: EventSink,
    options: dict[str, Any],
    *,
    strict: bool = False,
) -> dict[str, Any]:
    """Adds a plan to the queue: checked and prepared here, then sent to the database's writer.

    `options` are label, priority, not_before and after_sweep_id. Returns the sweep's number, uid
    and count of jobs. Raises PreflightError when `strict` and some jobs would fail, and
    DatabaseError when the database cannot be used.
    """
    plan = check_plan(plan, database, emit, strict=strict, queued=True)
    folder = files_folder(database) / "queue"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_database(str(database), str(error)) from error
    staged = folder / f"{secrets.token_hex(8)}.db"
    try:
        uid = stage_plan(plan, database, staged, emit)
        return send_request(
            database, "add", {"staging_path": str(staged), "uid": uid, **options}, emit
        )
    finally:
        for file in folder.glob(staged.name + "*"):
            file.unlink(missing_ok=True)


def stage_plan(plan: Plan, database: Path, staged: Path, emit: EventSink) -> str:
    """Stores a plan in a separate database file, for the writer to merge; returns its uid."""
    with closing(Store(staged)) as store:
        images = prepare_plan_images(plan, store, emit, folder=files_folder(database) / "images")
        sweep = sweep_writer.add_sweep(
            store,
            plan,
            images,
            environment.supervisor_environment(),
            known_ranks(plan, database),
        )
        (uid,) = store.connection.execute("SELECT uid FROM sweeps WHERE id = ?", [sweep]).fetchone()
        store.connection.execute("PRAGMA journal_mode = DELETE")
    return str(uid)


@contextmanager
def open_for_work(database: Path, emit: EventSink) -> Iterator[tuple[Store, ControlServer]]:
    """The database, locked by this process, and the server that takes control requests."""
    with open_store(database, emit, LOCK_WAIT_S) as store, ControlServer(store) as server:
        yield store, server


def known_ranks(plan: Plan, database: Path) -> dict[int, int] | None:
    """The models' order by earlier durations; None without a readable database."""
    try:
        with Reader(database) as reader:
            return sweep_writer.model_ranks(reader.connection, plan)
    except DatabaseError:
        return None


def prepare_plan_images(
    plan: Plan,
    store: Store,
    emit: EventSink,
    on_idle: Callable[[], None] = lambda: None,
    folder: Path | None = None,
) -> list[PreparedImage]:
    """Prepares the plan's images, and emits an event for each; calls `on_idle` after each.

    Raises DatabaseError when their folder cannot be written.
    """
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
        return prepare_images(
            plan.images, max_side=side, max_frames=frames, folder=folder, on_image=on_image
        )
    except OSError as error:
        raise DatabaseError(
            f"cannot write images to the folder of {store.path}: {error}",
            hint="free disk space, or choose another database with --db",
        ) from error


def restore_and_check(
    store: Store, sweeps: Iterable[int], queue: Queue, emit: EventSink, on_idle: Callable[[], None]
) -> None:
    """Restores deleted images and environments of stored sweeps, and checks their models.

    `on_idle` is called between two images and while an environment is created.
    """
    for sweep in sweeps:
        restore_images(store, sweep, on_idle)
        rows = store.connection.execute(
            "SELECT name, python FROM sweep_models WHERE sweep_id = ? AND python IS NOT NULL"
            " AND requirements IS NOT NULL",
            [sweep],
        ).fetchall()
        restore_environments(rows, emit, on_idle)
    preflight.check_queue(queue, store.path, emit)


def exit_code(state: str, summary: Iterable[Mapping[str, Any]]) -> int:
    """The exit code for a sweep. Jobs that a rule excluded are not failures."""
    if state != SweepState.DONE:
        return EXIT_INTERRUPTED
    failed = sum(row["failed"] + row["unusable_images"] + row["waiting"] for row in summary)
    return EXIT_JOBS_FAILED if failed else EXIT_OK


def queue_exit_code(result: QueueResult) -> int:
    """The exit code for a queue. Jobs that still wait are not failures."""
    if not result.complete:
        return EXIT_INTERRUPTED
    with Reader(result.database) as reader:
        rows = [row for sweep in result.sweeps for row in reader.summary(sweep)]
    failed = any(row["failed"] or row["unusable_images"] for row in rows)
    return EXIT_JOBS_FAILED if failed else EXIT_OK

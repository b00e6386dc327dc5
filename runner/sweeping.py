"""The spine from a plan to a sweep that ran: prepare the pictures, store the jobs, supervise.

The command line, the demo and later the overnight queue all come through here. It parses no
options and prints nothing; what a user's wish comes to is `runner.planning.wishes`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas import stream
from schemas.picture import Picture
from schemas.stream import Tell

from . import environment
from .database import intake, recovery
from .database.store import Store
from .errors import EXIT_INTERRUPTED, EXIT_JOBS_FAILED, EXIT_OK, DatabaseError
from .interpreters import resolving
from .pictures import preparation
from .plain import readable
from .planning.jobs import Plan
from .work.supervisor import Supervisor

if TYPE_CHECKING:
    from .work.launch import Launcher


@dataclass(frozen=True, slots=True)
class Swept:
    """A sweep that ran: its row, its end (done or interrupted), and where it is stored."""

    id: int
    state: str
    database: Path


def run(plan: Plan, database: Path, tell: Tell, launcher: Launcher | None = None) -> Swept:
    """Runs all jobs of a plan, every one of them stored. Blocks until done or interrupted."""
    plan, _ = resolving.resolve(plan, tell)
    with opened(database, tell) as store:
        made = prepare(plan, store, tell)
        sweep = intake.add_sweep(store, plan, made, environment.supervisors())
        return Swept(sweep, Supervisor(store, tell, launcher).run(sweep), database)


def resume(database: Path, sweep: int, tell: Tell, launcher: Launcher | None = None) -> Swept:
    """Runs the jobs of a stored sweep that are missing or did not end ok."""
    with opened(database, tell) as store:
        recovery.reopen(store, sweep)
        restore_pictures(store, sweep)
        restore_environments(store, sweep, tell)
        return Swept(sweep, Supervisor(store, tell, launcher).run(sweep), database)


@contextmanager
def opened(database: Path, tell: Tell) -> Iterator[Store]:
    """The database, held by us alone, with what a dead supervisor left in it put right."""
    store = Store(database)
    try:
        left = recovery.recover(store)
        if left.processes or left.runs:
            tell(stream.Recovered(processes=left.processes, runs=left.runs, jobs=left.jobs))
        yield store
    except sqlite3.Error as error:
        raise DatabaseError(
            f"{database} failed: {error}",
            hint="what had finished is stored; see to the disk, then: vlmsweep resume",
        ) from error
    finally:
        store.close()


def prepare(plan: Plan, store: Store, tell: Tell) -> list[Picture]:
    """The plan's pictures, each told of as it is done."""
    done = 0

    def on_picture(picture: Picture) -> None:
        nonlocal done
        done += 1
        tell(
            stream.ImagePrepared(
                path=readable(picture.path),
                done=done,
                total=len(plan.images),
                error_class=picture.error_class,
                message=picture.message,
            )
        )

    side, frames = plan.sweep.image.max_side, plan.sweep.video.frames
    try:
        folder = store.folder("images")
        return preparation.prepare(
            plan.images, max_side=side, max_frames=frames, folder=folder, on_picture=on_picture
        )
    except OSError as error:
        raise DatabaseError(
            f"cannot keep pictures beside {store.path}: {error}",
            hint="free some room or give another place with --db",
        ) from error


def restore_pictures(store: Store, sweep: int) -> None:
    """Makes prepared pictures again that are gone; a job whose source changed cannot run."""
    rows = store.connection.execute(
        "SELECT DISTINCT images.id, path, source_sha256, max_side, prepared_path, frame_paths"
        " FROM images JOIN job_images ON image_id = images.id JOIN jobs ON jobs.id = job_id"
        " WHERE sweep_id = ? AND state = 'queued' AND images.error_class IS NULL",
        [sweep],
    ).fetchall()
    for image, path, digest, max_side, prepared, frames in rows:
        wanted = [Path(name) for name in (json.loads(frames) if frames else [prepared])]
        if all(one.is_file() for one in wanted):
            continue
        (made,) = preparation.prepare(
            [Path(path)],
            max_side=max_side,
            max_frames=max(1, len(wanted)),
            folder=store.folder("images"),
        )
        if made.source_sha256 != digest:
            gone = {"error_class": "not_found", "message": "has changed since it was asked about"}
            store.update("images", image, gone)


def restore_environments(store: Store, sweep: int, tell: Tell) -> None:
    """Makes environments again that are gone, or could not be made."""
    rows = store.connection.execute(
        "SELECT name, python FROM sweep_models WHERE sweep_id = ? AND python IS NOT NULL"
        " AND requirements IS NOT NULL",
        [sweep],
    ).fetchall()
    resolving.restore(rows, tell)


def exit_code(state: str, summary: Iterable[Mapping[str, Any]]) -> int:
    """What a shell is told of a sweep. Jobs that a rule skipped are no failures."""
    if state != "done":
        return EXIT_INTERRUPTED
    wrong = sum(row["failed"] + row["waiting"] for row in summary)
    return EXIT_JOBS_FAILED if wrong else EXIT_OK

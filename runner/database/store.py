"""Writes the database, through the only connection that may: the supervisor holds it.

Every method commits before it returns, so that an emitted event is already stored. New sweeps are
written by `runner.database.sweep_writer`; commands read through `runner.database.reader`, the
supervisor reads its queue through `runner.supervisor.queue`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from schemas.events import Fetched
from schemas.rows import Environments
from schemas.states import JobState, SweepState

from ..errors import DatabaseError
from ..paths import unusable_database
from ..system.timestamps import utc_now
from ..text.sanitize import display_path
from . import APPLICATION_ID, BUSY_TIMEOUT_S, score_writer
from .file_names import canonical_path, files_folder
from .lock import DatabaseLock
from .migrations import migrations
from .open_files import OpenFiles
from .usable import check_contents, check_name


def canonical_json(value: object) -> str:
    """JSON in its one canonical form, so that equal values are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Store:
    """One open database file, its schema up to date."""

    def __init__(self, path: Path, wait_s: float = 0.0) -> None:
        """Opens or creates the file. Raises DatabaseError when it cannot be used.

        If another supervisor holds the lock, waits up to `wait_s` seconds for it.
        """
        self.path = path = canonical_path(path)
        check_name(path)
        self.held = ExitStack()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = DatabaseLock(path, wait_s)
            self.held.callback(lock.release)
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S)
            closing = self.held.enter_context(ExitStack())
            self.held.callback(self.connection.close)
            self.db = Database(self.connection)
            self.prepare()
            self.files = OpenFiles(path, self.connection, lock)
            closing.callback(self.files.close)
            self.held.callback(self.files.save_if_lost)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise unusable_database(str(path), str(error)) from error
        except DatabaseError:
            self.close()
            raise

    def prepare(self) -> None:
        """Checks that it is a vlmsweep database before any write, then migrates it."""
        check_contents(self.connection, self.path)
        for pragma in (
            f"application_id = {APPLICATION_ID}",
            "journal_mode = WAL",
            "trusted_schema = ON",  # else older SQLite computes no column by a JSON function
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            self.connection.execute(f"PRAGMA {pragma}")
        migrations.apply(self.db)

    def close(self) -> None:
        """Closes the file and lets the next supervisor in."""
        self.held.close()

    def folder(self, name: str) -> Path:
        """A subfolder of that name in the database's folder of files."""
        folder = files_folder(self.path) / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """Adds a row; returns its number."""
        return insert(self.connection, table, row)

    def update(self, table: str, id: int, row: Mapping[str, Any]) -> None:
        """Changes columns of one row."""
        sets = ", ".join(f"{column} = ?" for column in row)
        values = [*row.values(), id]
        self.connection.execute(f"UPDATE {table} SET {sets} WHERE id = ?", values)  # noqa: S608

    def find_or_add(self, table: str, keys: Sequence[str], row: Mapping[str, Any]) -> int:
        """The number of the row that is equal in `keys` (NULL equals NULL), added if missing."""
        same = " AND ".join(f"{key} IS ?" for key in keys)
        found = self.connection.execute(
            f"SELECT id FROM {table} WHERE {same}",  # noqa: S608
            [row[key] for key in keys],
        ).fetchone()
        return int(found[0]) if found else self.insert(table, row)

    def environment(self, facts: Environments) -> int:
        """An environment, once for all that ran in it."""
        key = hashlib.sha256(canonical_json(facts).encode()).hexdigest()
        return self.find_or_add("environments", ["sha256"], {**facts, "sha256": key})

    # Events.

    def start_worker(self, sweep_model: int, log_path: Path, number: int) -> int:
        """A worker that is about to be started."""
        sweep, model = self.connection.execute(
            "SELECT sweep_id, model_id FROM sweep_models WHERE id = ?", [sweep_model]
        ).fetchone()
        return self.insert(
            "workers",
            {
                "sweep_id": sweep,
                "number": number,
                "sweep_model_id": sweep_model,
                "model_id": model,
                "started_at": utc_now(),
                "phase": "start",
                "log_path": display_path(log_path),
            },
        )

    def next_worker_number(self, sweep: int) -> int:
        """The number the sweep's next worker gets, from 1."""
        (number,) = self.connection.execute(
            "SELECT ifnull(max(number), 0) + 1 FROM workers WHERE sweep_id = ?", [sweep]
        ).fetchone()
        return int(number)

    def set_resolved_model(self, worker: int, fetched: Fetched) -> None:
        """Sets a worker's model to the files that were loaded."""
        row = self.connection.execute(
            "SELECT source, location, revision FROM models WHERE id ="
            " (SELECT model_id FROM workers WHERE id = ?)",
            [worker],
        ).fetchone()
        files = canonical_json(fetched.files)
        found = dict(zip(("source", "location", "revision"), row, strict=True)) | {
            "commit_hash": fetched.commit,
            "fingerprint": hashlib.sha256(files.encode()).hexdigest(),
            "weights_bytes": fetched.weights_bytes,
            "files": files,
        }
        keys = ["source", "location", "revision", "commit_hash", "fingerprint"]
        with self.db.atomic():
            model = self.find_or_add("models", keys, found)
            self.update("workers", worker, {"model_id": model, "download_s": fetched.download_s})

    def start_run(self, job: int, worker: int | None, seed: int | None = None) -> int:
        """A new attempt at a job, sampled with `seed`; it becomes the job's latest."""
        with self.db.atomic():
            (attempt,) = self.connection.execute(
                "SELECT ifnull(max(attempt), 0) + 1 FROM runs WHERE job_id = ?", [job]
            ).fetchone()
            row = {"job_id": job, "attempt": attempt, "worker_id": worker, "seed": seed}
            run = self.insert("runs", {**row, "started_at": utc_now()})
            self.update("jobs", job, {"state": JobState.RUNNING, "latest_run_id": run})
        return run

    def finish_run(
        self, run: int, row: Mapping[str, Any], again: bool = False, variant: int | None = None
    ) -> None:
        """A run's outcome. The job is done, unless a newer run has taken it over.

        With `again` it is queued once more, in another `way` to load its model if one is given.
        """
        state = JobState.QUEUED if again else JobState.DONE
        with self.db.atomic():
            self.update("runs", run, {**row, "ended_at": utc_now()})
            self.connection.execute(  # the job is found by its id, the only index that fits
                "UPDATE jobs SET state = ?, fallback_id = ifnull(?, fallback_id)"
                " WHERE latest_run_id = ? AND id = (SELECT job_id FROM runs WHERE id = ?)",
                [state, variant, run, run],
            )
            score_writer.score_run(self.connection, run)

    def move_to_fallback(self, variant: int, to: int) -> None:
        """Moves a variant's queued jobs to its fallback."""
        self.connection.execute(
            "UPDATE jobs SET fallback_id = ? WHERE ifnull(fallback_id, sweep_model_id) = ?"
            " AND state = 'queued'",
            [to, variant],
        )

    def increment(self, variant: int, column: str, value: int | None = None) -> int:
        """Adds 1 to a variant's `load_failures` or `worker_failures`, or sets it to `value`.

        Returns the new count.
        """
        (counted,) = self.connection.execute(
            f"UPDATE sweep_models SET {column} = ifnull(?, {column} + 1) WHERE id = ?"  # noqa: S608
            f" RETURNING {column}",
            [value, variant],
        ).fetchone()
        return int(counted)

    def first_repeat(self, job: int) -> tuple[int, str] | None:
        """The run and raw text of a job's first repeat, if that ended ok."""
        found = self.connection.execute(
            "SELECT runs.id, runs.raw_text FROM jobs AS mine JOIN jobs AS first"
            " ON first.sweep_id = mine.sweep_id"
            " AND first.position = mine.position - mine.repeat + 1"
            " JOIN runs ON runs.id = first.latest_run_id"
            " WHERE mine.id = ? AND runs.outcome = 'ok'",
            [job],
        ).fetchone()
        return found and (int(found[0]), str(found[1]))

    def add_sample(self, worker: int, row: Mapping[str, Any]) -> None:
        """One point of a worker's memory timeline."""
        self.insert("memory_samples", {"worker_id": worker, **row})

    def set_sweep_state(self, sweep: int, state: SweepState) -> None:
        """Moves a sweep on, with the time."""
        row: dict[str, str] = {"state": state}
        if state != SweepState.QUEUED:
            row["started_at" if state == SweepState.RUNNING else "ended_at"] = utc_now()
        self.update("sweeps", sweep, row)


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    """Adds a row by plain SQL: sqlite-utils' insert asks for the schema each time."""
    columns, placeholders = ", ".join(row), ", ".join("?" * len(row))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({placeholders})"  # noqa: S608
    return int(connection.execute(statement, list(row.values())).lastrowid or 0)

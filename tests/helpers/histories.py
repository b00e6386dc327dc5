"""Histories to exchange, created by the store's methods, and rows compared without ids."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from runner.database import score_writer, sweep_writer
from runner.database.store import Store
from runner.image_prep import prepare
from runner.planning import expand, sweepfile
from runner.system import environment
from schemas.events import Fetched
from schemas.image import PreparedImage

# SQL for the identity of a row in any database, with its table as `t`.
SWEEP = "(SELECT uid FROM sweeps WHERE id = {0})"
WAY = "(SELECT u.uid || '/' || w.name FROM sweep_models w JOIN sweeps u ON u.id = w.sweep_id"
WAY += " WHERE w.id = {0})"
JOB = "(SELECT u.uid || '/' || j.position FROM jobs j JOIN sweeps u ON u.id = j.sweep_id"
JOB += " WHERE j.id = {0})"
RUN = "(SELECT " + JOB.format("r.job_id") + " || '/' || r.attempt FROM runs r WHERE r.id = {0})"
WORKER = "(SELECT u.uid || '/' || k.number FROM workers k JOIN sweeps u ON u.id = k.sweep_id"
WORKER += " WHERE k.id = {0})"
MODEL = "(SELECT json_array(source, location, revision, commit_hash, fingerprint) FROM models"
MODEL += " WHERE id = {0})"
IMAGE = "(SELECT json_array(path, source_sha256, max_side, max_frames) FROM images WHERE id = {0})"
PLAIN = "(SELECT sha256 FROM {1} WHERE id = {0})"
POINTS_TO = {
    "sweeps": SWEEP,
    "sweep_models": WAY,
    "jobs": JOB,
    "runs": RUN,
    "workers": WORKER,
    "models": MODEL,
    "images": IMAGE,
    "prompts": PLAIN,
    "environments": PLAIN,
}
NOT_EXCHANGED = {"requests", "database_token", "_sqlite_migrations"}

Stores = Callable[[str], Store]


def tables(connection: sqlite3.Connection) -> list[str]:
    """The tables of a history that are exchanged, from the database schema."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return sorted({name for (name,) in names if "_fts" not in name} - NOT_EXCHANGED)


def rows(connection: sqlite3.Connection, without: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """Every table's rows, with each id replaced by the identity of its row."""
    found = {}
    for table in tables(connection):
        points = {
            row[3]: POINTS_TO[row[2]].format(f"t.{row[3]}", row[2])
            for row in connection.execute(f"PRAGMA foreign_key_list({table})")
        }
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        shown = [points.get(c, f"t.{c}") for c in columns if c != "id" and c not in without]
        query = f"SELECT {', '.join(shown)} FROM {table} AS t"
        found[table] = sorted(connection.execute(query).fetchall(), key=repr)
    return found


def add_sweep(store: Store, folder: Path, name: str, prompts: list[str], **more: Any) -> int:
    """A sweep of two models over two images, queued."""
    for model in ("one", "two"):
        (folder / model).mkdir(exist_ok=True)
    images = []
    for file in ("a.png", "b.png"):
        (folder / file).write_bytes(file.encode())
    data: dict[str, Any] = {
        "name": name,
        "models": [{"id": "./one", "fallback": [{"id": "./two"}], "name": "first"}, "./two"],
        "images": ["a.png", "b.png"],
        "prompts": prompts,
    }
    plan = expand.expand_sweep(sweepfile.validate(data | more, "test"), folder, "test")
    for path in plan.images:
        digest = (path.stem * 64)[:64]
        prepared = store.folder("images") / digest[:2] / f"{digest}.png"
        images.append(
            PreparedImage(
                path=path, source_sha256=digest, prepared_path=prepared, prepared_sha256=digest
            )
        )
    sweep = sweep_writer.add_sweep(store, plan, images, environment.supervisor_environment())
    ask = "SELECT id FROM jobs WHERE sweep_id = ? AND position % 2"
    for (job,) in store.connection.execute(ask, [sweep]).fetchall():
        score_writer.store_reference(store.connection, job, ["answer"], ["exact"])
    return sweep


def add_real(store: Store, folder: Path, data: dict[str, Any], files: dict[str, str]) -> int:
    """A sweep about real images (name to colour), really prepared."""
    for name, colour in files.items():
        Image.new("RGB", (40, 30), colour).save(folder / name)
    plan = expand.expand_sweep(
        sweepfile.validate({"images": list(files)} | data, "test"), folder, "test"
    )
    made = prepare.prepare_images(plan.images, max_side=1024, folder=store.folder("images"))
    return sweep_writer.add_sweep(store, plan, made, environment.supervisor_environment())


def work(store: Store, sweep: int, most: int = 1000, outcome: str = "ok") -> None:
    """Runs up to that many of the sweep's waiting jobs, by one worker a model."""
    store.set_sweep_state(sweep, "running")
    ask = "SELECT DISTINCT sweep_model_id FROM jobs WHERE sweep_id = ? AND state = 'queued'"
    for (model,) in store.connection.execute(ask, [sweep]).fetchall():
        waiting = store.connection.execute(
            "SELECT id FROM jobs WHERE sweep_model_id = ? AND state = 'queued' LIMIT ?",
            [model, most],
        ).fetchall()
        if waiting:
            worker = begin_worker(store, sweep, model)
            for (job,) in waiting:
                answer(store, store.start_run(job, worker), job, outcome)
            store.update("workers", worker, {"ended_at": "2026-01-01T00:00:00.000000Z"})
        most -= len(waiting)
    ask = "SELECT count(*) FROM jobs WHERE sweep_id = ? AND state <> 'done'"
    (left,) = store.connection.execute(ask, [sweep]).fetchone()
    store.set_sweep_state(sweep, "interrupted" if left else "done")


def begin_worker(store: Store, sweep: int, model: int) -> int:
    """A worker that has loaded its model."""
    number = store.next_worker_number(sweep)
    (uid,) = store.connection.execute("SELECT uid FROM sweeps WHERE id = ?", [sweep]).fetchone()
    log = store.folder(f"logs/{uid}") / f"worker-{number}.log"
    log.write_text(f"worker {number} of {uid}\n")
    worker = store.start_worker(model, log, number)
    store.set_resolved_model(
        worker, Fetched(path="/x", files={"model.safetensors": 5}, weights_bytes=5)
    )
    facts = environment.worker_environment({"torch": "2.9"}, "3.11", None)
    loaded = {"engine": "transformers", "device": "cpu", "dtype": "float32", "load_s": 0.1 + number}
    store.update("workers", worker, {**loaded, "environment_id": store.environment(facts)})
    for at_s in (0.1, 0.2):
        store.add_sample(worker, {"at_s": at_s, "phase": "load", "rss_bytes": 5})
    return worker


def answer(store: Store, run: int, job: int, outcome: str = "ok") -> None:
    """A run's end."""
    notes = json.dumps(["a note, with 'quotes' and \x00"])
    row = {"outcome": outcome, "text": f"answer to {job}", "latency_s": 0.1 * job, "notes": notes}
    row["raw_text"] = f"answer to {job}, as generated"
    store.finish_run(run, row)

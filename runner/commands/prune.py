"""Deletes old logs, prepared images and memory samples. Runs are not deleted.

Rows are deleted by request (`runner.control`), in batches, so that a working supervisor is not
delayed; files are deleted here. Images that a job needs are kept, as are images used within
RECENT_S: they may be about to be queued.
"""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..control.client import send_request
from ..database.file_names import files_folder
from ..database.reader import Reader
from ..system.timestamps import format_timestamp

RECENT_S = 86_400.0
LOGS = """
SELECT log_path FROM workers JOIN sweeps ON sweeps.id = sweep_id
WHERE workers.ended_at < ? AND sweeps.state = 'done'
"""
NEEDED = """
SELECT prepared_path, frame_paths FROM images WHERE id IN (
    SELECT image_id FROM job_images JOIN jobs ON jobs.id = job_id
    JOIN sweeps ON sweeps.id = sweep_id
    WHERE jobs.state <> 'done' OR ifnull(sweeps.ended_at, '9') >= ?)
"""


@dataclass(frozen=True, slots=True)
class PruneResult:
    """Counts of deleted files and rows, or of those to delete, and the bytes of the files."""

    logs: int
    log_bytes: int
    images: int
    image_bytes: int
    samples: int


def prune_files(
    database: Path, before: datetime, what: Iterable[str], dry: bool = False
) -> PruneResult:
    """Delete logs, images and samples (those in `what`) of sweeps that ended before a time.

    With `dry`, only count them. Raises DatabaseError.
    """
    wanted, moment = set(what), format_timestamp(before)
    with Reader(database) as reader:
        logs = dict(expired_logs(reader, database, moment)) if "logs" in wanted else {}
        images = dict(expired_images(reader, database, moment)) if "images" in wanted else {}
        samples = count_expired_samples(reader, moment) if "samples" in wanted else 0
    if not dry:
        request = {"ended_before": moment}
        while samples and send_request(database, "prune", request)["deleted_samples"]:
            pass
        for file in (*logs, *images):
            with suppress(OSError):
                file.unlink()
    return PruneResult(len(logs), sum(logs.values()), len(images), sum(images.values()), samples)


def expired_logs(reader: Reader, database: Path, moment: str) -> Iterator[tuple[Path, int]]:
    """Yield worker logs, also rotated ones, with their bytes; only inside the database's folder."""
    folder = files_folder(database)
    for row in reader.records(LOGS, moment):
        log = Path(os.path.realpath(row["log_path"]))
        if not log.is_relative_to(folder):
            continue
        for file in (log, *log.parent.glob(f"{glob.escape(log.name)}.*")):
            with suppress(OSError):
                yield file, file.stat().st_size


def expired_images(reader: Reader, database: Path, moment: str) -> Iterator[tuple[Path, int]]:
    """Yield prepared images and index entries that are not needed, with their bytes."""
    needed: set[str] = set()
    for row in reader.records(NEEDED, moment):
        named = [row["prepared_path"], *json.loads(row["frame_paths"] or "[]")]
        needed |= {os.path.realpath(name) for name in named if name}
    recent = time.time() - RECENT_S
    for file in (files_folder(database) / "images").rglob("*"):
        with suppress(OSError):
            found = file.stat()
            if file.is_file() and found.st_mtime < recent and str(file) not in needed:
                yield file, found.st_size


def count_expired_samples(reader: Reader, moment: str) -> int:
    """Return the number of memory samples of workers that ended before a time."""
    (row,) = reader.records(
        "SELECT count(*) AS samples FROM memory_samples WHERE worker_id IN"
        " (SELECT id FROM workers WHERE ended_at < ?)",
        moment,
    )
    return int(row["samples"])

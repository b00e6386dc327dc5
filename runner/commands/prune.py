"""Makes room: deletes what can be made again or was only of use for a while. Never a run.

Rows go by request (`runner.control`), a slice at a time, so that a supervisor that works is not
held up; files are deleted here. An image that some job still needs stays, as does one that was
used a short while ago: somebody may be about to queue it.
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
from ..database.reader import Reader
from ..database.store import files_folder
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
    """What was deleted, or would be: counts, and the bytes of the files."""

    logs: int
    log_bytes: int
    images: int
    image_bytes: int
    samples: int


def prune_files(
    database: Path, before: datetime, what: Iterable[str], dry: bool = False
) -> PruneResult:
    """Deletes logs, images and samples (of `what`) of sweeps that ended before a moment.

    A `dry` run only says what that would be.
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
    """Logs of workers, with their older part, and their sizes; nothing outside our own folder."""
    ours = files_folder(database)
    for row in reader.records(LOGS, moment):
        log = Path(os.path.realpath(row["log_path"]))
        if not log.is_relative_to(ours):
            continue
        for file in (log, *log.parent.glob(f"{glob.escape(log.name)}.*")):
            with suppress(OSError):
                yield file, file.stat().st_size


def expired_images(reader: Reader, database: Path, moment: str) -> Iterator[tuple[Path, int]]:
    """Prepared images and what is known of them, but those that are or may be needed."""
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
    """How many points of memory timelines are old enough."""
    (row,) = reader.records(
        "SELECT count(*) AS samples FROM memory_samples WHERE worker_id IN"
        " (SELECT id FROM workers WHERE ended_at < ?)",
        moment,
    )
    return int(row["samples"])

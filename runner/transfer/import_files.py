"""Copies the images and logs of a merged sweep to the database's folder.

An image is decoded by the same guarded process as any untrusted image, and kept only if its
pixels are those that its row names: every file in our folder was written by us. A
missing file is not an error: a bundle may leave images out.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlite_utils import Database

from ..database.store import Store, canonical_json
from ..errors import DatabaseError
from ..image_prep import cache, decode_client, prepare
from ..system.atomic_write import atomic_write
from . import ExchangeError
from .bundle_reader import BundleSource
from .database_source import DatabaseSource
from .staging import DIGEST

Source = DatabaseSource | BundleSource
MOST_LOG_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class ImportedFiles:
    """Counts of copied images and logs, and of images refused for a wrong hash."""

    images: int = 0
    logs: int = 0
    refused: int = 0


def rewrite_paths(db: Database, store: Store) -> None:
    """Rows of a fresh history name the places that their files have here, there or not."""
    images = store.folder("images")
    # A path that we do not know the pixels of could be any file of this machine's.
    db.execute(
        "UPDATE images SET prepared_path = NULL, frame_paths = NULL WHERE prepared_sha256 IS NULL"
    )
    ask = "SELECT id, prepared_sha256, frame_paths FROM images WHERE prepared_sha256 NOT NULL"
    for row, digest, frames in db.execute(ask).fetchall():
        places = [str(cache.image_path(images, one)) for one in digests(digest, frames)]
        db.execute(
            "UPDATE images SET prepared_path = ?, frame_paths = ? WHERE id = ?",
            [places[0], frames and canonical_json(places), row],
        )
    logs = store.folder("logs")
    ask = "SELECT workers.id, uid, number FROM workers JOIN sweeps ON sweeps.id = sweep_id"
    for row, uid, number in db.execute(ask).fetchall():
        place = str(logs / uid / f"worker-{number}.log")
        db.execute("UPDATE workers SET log_path = ? WHERE id = ?", [place, row])


def digests(prepared: str, frames: str | None) -> list[str]:
    """The hashes of an image's pixels: of a video's frames, by their files' names."""
    if frames is None:
        return [prepared]
    names = [Path(str(path).replace("\\\\", "/")).stem for path in json.loads(frames)]
    if not names or not all(DIGEST.fullmatch(name) for name in names):
        raise ExchangeError("invalid frame file names in the bundle")
    return names


def copy_files(source: Source, db: Database, store: Store, folder: Path) -> ImportedFiles:
    """Copies images and logs of the merged rows; `folder` is a temporary directory."""
    try:
        came, refused = copy_images(source, db, store, folder)
        return ImportedFiles(came, copy_logs(source, db, store), refused)
    except (OSError, decode_client.DecoderError) as error:
        raise DatabaseError(
            f"the rows are in, but not all of their files: {error}",
            hint="check the disk, then import it again: existing rows are not added twice",
        ) from error


def copy_images(source: Source, db: Database, store: Store, folder: Path) -> tuple[int, int]:
    """Copies missing images; returns the numbers copied and refused for a wrong hash."""
    images = store.folder("images")
    wanted: dict[str, Path] = {}
    ask = "SELECT prepared_sha256, frame_paths FROM images WHERE prepared_sha256 NOT NULL"
    for prepared, frames in db.execute(ask):
        for digest in digests(prepared, frames):
            if cache.image_path(images, digest).is_file() or digest in wanted:
                continue
            if (path := extract_image(source, digest, folder)) is not None:
                wanted[digest] = path
    made = prepare.prepare_images(list(wanted.values()), max_side=None, folder=images)
    came = sum(image.prepared_sha256 == digest for digest, image in zip(wanted, made, strict=True))
    return came, len(wanted) - came


def extract_image(source: Source, digest: str, folder: Path) -> Path | None:
    """An image as a file."""
    found = source.image(digest)
    if found is None or isinstance(found, Path):
        return found
    path = folder / f"{digest}.png"
    with open_member(source, found) as file, path.open("wb") as out:
        shutil.copyfileobj(file, out)
    return path


def copy_logs(source: Source, db: Database, store: Store) -> int:
    """Copies the logs of merged workers; returns their number."""
    came = 0
    ask = "SELECT uid, number, workers.started_at FROM workers JOIN sweeps ON sweeps.id = sweep_id"
    same = ask + " WHERE uid = ? AND number = ? AND workers.started_at = ?"
    for row in db.execute(ask).fetchall():
        uid, number, _ = row
        found = source.log(uid, number)
        place = store.folder("logs") / uid / f"worker-{number}.log"
        if found is None or place.exists() or not store.connection.execute(same, row).fetchone():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        with open_member(source, found) as log, atomic_write(place, private=True) as file:
            file.write(log.read(MOST_LOG_BYTES))
        came += 1
    return came


def open_member(source: Source, found: Path | zipfile.ZipInfo) -> IO[bytes]:
    """A file of the source's, for reading."""
    if isinstance(found, Path):
        return found.open("rb")
    assert isinstance(source, BundleSource)
    return source.zip.open(found)

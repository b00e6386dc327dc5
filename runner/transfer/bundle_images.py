"""Selects the images of a bundle and their names in it.

An image's file is named as the user named it, in its own folder, so that a second run gives
its images the same names as the first.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from sqlite_utils import Database

from ..database.store import canonical_json
from ..image_prep.open_source import UnusableImageError, hash_source, open_source
from .import_files import digests

STRANGE = re.compile(r"[^\w .()+-]")
LONGEST_NAME = 100


@dataclass(slots=True)
class BundleImages:
    """The files of a bundle by their names in it; names by image's row, and by pixels' hash.

    Of a video `of_row` names the film itself, `of_digest` its frames.
    """

    files: dict[str, Path] = field(default_factory=dict)
    of_row: dict[int, str] = field(default_factory=dict)
    of_digest: dict[str, str] = field(default_factory=dict)


def collect_images(db: Database) -> BundleImages:
    """The images and films of a sweep that are still there."""
    found = BundleImages()
    for row in db.query("SELECT * FROM images WHERE prepared_sha256 NOT NULL ORDER BY id"):
        folder = f"{row['id']:04}-{row['prepared_sha256'][:12]}"
        listed = json.loads(row["frame_paths"]) if row["frame_paths"] else None
        if listed is None:
            path = Path(row["prepared_path"])
            if path.is_file():
                member = f"images/{folder}/{safe_name(Path(row['name']).stem)}.png"
                found.files[member] = path
                found.of_row[row["id"]] = member
                found.of_digest.setdefault(row["prepared_sha256"], member)
            continue
        for digest, path in zip(
            digests(row["prepared_sha256"], row["frame_paths"]), map(Path, listed), strict=True
        ):
            member = f"images/{folder}/{digest}.png"
            if path.is_file():
                found.files[member] = path
                found.of_digest.setdefault(digest, member)
        if has_hash(Path(row["path"]), row["source_sha256"]):
            member = f"videos/{folder}/{safe_name(row['name'])}"
            found.files[member] = Path(row["path"])
            found.of_row[row["id"]] = member
    return found


def original_paths(db: Database) -> BundleImages:
    """No files: the sweep file names the images where they were."""
    rows = db.execute("SELECT id, path FROM images WHERE prepared_sha256 NOT NULL")
    return BundleImages(of_row=dict(rows.fetchall()))


def rewrite_paths(db: Database, found: BundleImages) -> None:
    """Rows name images by their place in the bundle, if they are in it, and frames by hash."""
    ask = "SELECT id, prepared_sha256, frame_paths FROM images WHERE prepared_sha256 NOT NULL"
    for row, digest, frames in db.execute(ask).fetchall():
        listed = (
            canonical_json([f"{one}.png" for one in digests(digest, frames)]) if frames else None
        )
        db.execute(
            "UPDATE images SET prepared_path = ?, frame_paths = ? WHERE id = ?",
            [found.of_digest.get(digest), listed, row],
        )


def safe_name(name: str) -> str:
    """A file's name that means nothing to a shell, a glob or another system."""
    plain = STRANGE.sub("_", name).strip(" .-")
    while len(plain.encode()) > LONGEST_NAME:
        plain = plain[:-1]
    return plain or "image"


def has_hash(path: Path, digest: str | None) -> bool:
    """Whether a file is there and still has that hash."""
    try:
        with open_source(os.fsencode(path)) as file:
            return hash_source(file) == digest
    except (UnusableImageError, OSError, ValueError):
        return False

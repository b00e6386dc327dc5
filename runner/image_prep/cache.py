"""The folder of prepared images: stored by content hash, indexed by source hash.

Files are written atomically. Their pixels come from `runner.image_prep.pixels`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from schemas.image import ImageFacts

from ..system.atomic_write import atomic_write

# Part of the index's key: raise it when the same file would give other pixels.
RECIPE = 3
TOUCH_S = 3600.0


class CacheFolderError(Exception):
    """The folder for prepared images can't be used; no image is at fault."""


def index_entry(
    folder: Path, source_sha256: str, max_side: int | None, max_frames: int | None = None
) -> Path:
    """Return the path of the index entry of one source file and one set of options."""
    how = f"{max_side or 'full'}" + (f".{max_frames}-frames" if max_frames else "")
    return folder / "index" / f"{source_sha256}.{how}.{RECIPE}.json"


def load_cached(
    folder: Path, source_sha256: str, max_side: int | None, max_frames: int | None = None
) -> ImageFacts | None:
    """Return the facts in the index, or None if the entry or a prepared file is invalid."""
    try:
        path = index_entry(folder, source_sha256, max_side, max_frames)
        entry = json.loads(path.read_bytes())
        facts = ImageFacts(**entry["facts"])
        sizes = [image_path(folder, name).stat().st_size for name in _prepared(facts)]
        if entry["check"] == _check(entry) and sizes == entry["png_bytes"]:
            _touch(path, *(image_path(folder, name) for name in _prepared(facts)))
            frames, times = tuple(facts.frame_sha256s), tuple(facts.frame_times_s)
            facts = replace(facts, frame_sha256s=frames, frame_times_s=times)
            return replace(facts, notes=tuple(facts.notes), reused=True)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass
    return None


def _touch(*files: Path) -> None:
    """Update the times of files that are in use, so that they are not pruned."""
    for file in files:
        if file.stat().st_mtime < time.time() - TOUCH_S:
            os.utime(file)


def _prepared(facts: ImageFacts) -> list[str]:
    return list(facts.frame_sha256s) or [str(facts.prepared_sha256)]


def save_cached(
    folder: Path, facts: ImageFacts, max_side: int | None, png_bytes: list[int]
) -> None:
    """Write the index entry, with the sizes of the image's file or the frames' files.

    Raises CacheFolderError.
    """
    entry: dict[str, Any] = {"facts": asdict(facts), "png_bytes": png_bytes}
    entry["check"] = _check(entry)
    path = index_entry(folder, str(facts.source_sha256), max_side, facts.max_frames)
    write_cache_file(path, lambda file: file.write(json.dumps(entry).encode()))


def _check(entry: dict[str, Any]) -> str:
    text = json.dumps([entry["facts"], entry["png_bytes"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def image_path(folder: Path, prepared_sha256: str) -> Path:
    """Return the path of the prepared image with this sha256."""
    return folder / prepared_sha256[:2] / f"{prepared_sha256}.png"


def write_cache_file(path: Path, write_content: Callable[[BinaryIO], object]) -> int:
    """Write a file of the folder; return its size in bytes. Raises CacheFolderError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            write_content(file)
        return path.stat().st_size
    except OSError as error:
        reason = error.strerror or str(error)
        raise CacheFolderError(
            f"cannot write to the folder for prepared images: {reason}"
        ) from error

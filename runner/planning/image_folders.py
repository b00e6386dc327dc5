"""Lists the images in a folder and its subfolders, and what is left out, with the reason.

Links to folders are followed; a folder that several paths lead to is listed once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.image import VIDEO_SUFFIXES

from ..system.file_identity import identity_of

# fmt: off
IMAGE_SUFFIXES = {
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff",
    ".webp",
}
RAW_SUFFIXES = {
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".nef", ".nrw", ".orf", ".pef", ".raf",
    ".rw2", ".sr2", ".srw", ".x3f",
}
# Folders of a NAS, a photo program or an archiver, in lower case: thumbnails and deleted files.
SYSTEM_FOLDERS = {
    "#recycle", "#snapshot", "$recycle.bin", ".@__thumb", ".picasaoriginals", ".thumbnails",
    "@eadir", "@recently-snapshot", "@recycle", "@tmp", "__macosx", "lost+found",
}
# fmt: on
Severity = Literal["warning", "note"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not used. `severity` is a warning if it probably was meant."""

    path: Path
    reason: str
    severity: Severity = "note"


SYSTEM = "thumbnails, copies or deleted files of a NAS or a photo program"
HIDDEN = "hidden"
SEEN = "the same folder as another one that is listed, by a link"
VIDEO = "videos in a folder (name them, or match them: *.mp4)"
RAW = "camera raw files (export them as JPEG or TIFF)"
BROKEN_LINK = "links to something that does not exist"


def is_system_folder(name: str) -> bool:
    """Return whether a folder of this name holds thumbnails or deleted files."""
    return name.lower() in SYSTEM_FOLDERS


def list_images(folder: Path, left_out: list[LeftOut]) -> list[Path]:
    """Return the images in a folder and its subfolders, by suffix, in order of their paths.

    Hidden files, videos and thumbnail folders are appended to `left_out`, as is whatever cannot
    be read. Raises no error.
    """
    return FolderScan(left_out).list_all([folder], set())


class FolderScan:
    """The folders seen so far, by device and inode, and the images found in each."""

    def __init__(self, left_out: list[LeftOut]) -> None:
        self.left_out = left_out
        self.files: dict[Path, list[Path]] = {}
        self.links: deque[Path] = deque()
        self.seen: set[tuple[int, int]] = set()

    def list_all(self, tops: Iterable[Path], known: set[tuple[int, int]]) -> list[Path]:
        """Return the images in folders; links to `known` folders are not followed."""
        for top in tops:
            self.visit(top)
        self.seen |= known
        while self.links:  # after all real folders, so that a link never takes the place of one
            self.visit(self.links.popleft())
        order = sorted(self.files, key=lambda path: path.parts)
        return [file for path in order for file in self.files[path]]

    def visit(self, top: Path) -> None:
        """List a folder and its real subfolders; links to folders are kept for later."""
        folders = [top]
        while folders:
            here = folders.pop()
            try:
                status = here.stat()
                if (identity := (status.st_dev, status.st_ino)) in self.seen:
                    if here not in self.files:
                        self.left_out.append(LeftOut(here, SEEN))
                    continue
                self.seen.add(identity)
                with os.scandir(here) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                self.left_out.append(unreadable(here, error))
                continue
            self.files[here] = []
            for entry in entries:
                self.sort_entry(entry, here, folders)

    def sort_entry(self, entry: os.DirEntry[str], here: Path, folders: list[Path]) -> None:
        """Put one entry where it belongs: to the folders, links, images or what is left out."""
        path = here / entry.name
        suffix = path.suffix.lower()
        is_image = suffix in IMAGE_SUFFIXES and not entry.name.startswith(".")
        try:
            is_folder, is_link = entry.is_dir(), entry.is_symlink()
            is_broken = is_link and not is_folder and not path.exists()
        except OSError as error:
            if is_image:
                self.files[here].append(path)  # reported as an image that cannot be opened
            else:
                self.left_out.append(unreadable(path, error))
            return
        if is_folder and is_system_folder(entry.name):
            self.left_out.append(LeftOut(path, SYSTEM))
        elif is_folder and entry.name.startswith("."):
            self.left_out.append(LeftOut(path, HIDDEN))
        elif is_folder:
            (self.links if is_link else folders).append(path)
        elif is_image:
            self.files[here].append(path)  # a broken link too: it is reported as a missing image
        elif is_broken:
            self.left_out.append(LeftOut(path, BROKEN_LINK, "warning"))
        elif reason := reason_of_file(entry.name, suffix):
            self.left_out.append(LeftOut(path, reason))


def reason_of_file(name: str, suffix: str) -> str | None:
    """Return why an image, video or camera raw file is left out; None for any other file."""
    if suffix in IMAGE_SUFFIXES and name.startswith("."):
        return HIDDEN
    if suffix in VIDEO_SUFFIXES:
        return VIDEO
    return RAW if suffix in RAW_SUFFIXES else None


def unreadable(path: Path, error: OSError) -> LeftOut:
    """Return a path that cannot be read, with the system's reason."""
    why = (error.strerror or type(error).__name__).lower()
    return LeftOut(path, f"cannot be read ({why})", "warning")


def expand_matches(
    base: Path, pattern: str, matched: Sequence[str], left_out: list[LeftOut]
) -> list[Path]:
    """Return the files that a glob matched, relative to `base`, then the images in its folders.

    Matches in thumbnail folders that the pattern does not name, and in folders that a link leads
    to again, are left out.
    """
    named = set(Path(pattern).parts)
    files: list[Path] = []
    folders: list[Path] = []
    for name in sorted(matched):
        path = base / name
        parts = Path(name).parts if path.is_dir() else Path(name).parts[:-1]
        if any(is_system_folder(part) and part not in named for part in parts):
            left_out.append(LeftOut(path, SYSTEM))
        else:
            (folders if path.is_dir() else files).append(path)
    first: dict[tuple[int, int], Path] = {}
    out: list[Path] = []
    parents = {path.parent: identity_of(path.parent) for path in files}
    for folder in sorted(parents, key=lambda path: len(path.parts)):
        if identity := parents[folder]:
            first.setdefault(identity, folder)
    for path in files:
        identity = parents[path.parent]
        if identity is None or first[identity] == path.parent:
            out.append(path)
        else:
            left_out.append(LeftOut(path, SEEN))
    scan = FolderScan(left_out)
    scan.links.extend(folder for folder in folders if folder.is_symlink())
    return out + scan.list_all(
        (folder for folder in folders if not folder.is_symlink()), set(first)
    )


def group_by_reason(left_out: Sequence[LeftOut]) -> list[tuple[LeftOut, list[Path]]]:
    """Return the first of each reason with all its paths, without duplicates."""
    groups: dict[str, tuple[LeftOut, dict[Path, None]]] = {}
    for one in left_out:
        groups.setdefault(one.reason, (one, {}))[1][one.path] = None
    return [(first, sorted(paths)) for first, paths in groups.values()]

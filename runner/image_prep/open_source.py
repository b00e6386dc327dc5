"""Opens and hashes an image file of any kind without blocking.

Pixels are read by `runner.image_prep.pixels`.
"""

from __future__ import annotations

import hashlib
import os
from typing import IO

from schemas.image import ImageError

from ..system.read_file import irregular_kind

MAX_SOURCE_BYTES = 1 << 30
CHUNK = 1 << 20


class UnusableImageError(Exception):
    """A file can't be used as an image; the message gives the reason and what to do."""

    def __init__(self, error_class: ImageError, message: str) -> None:
        super().__init__(message)
        self.error_class = error_class


def open_source(path: bytes) -> IO[bytes]:
    """Open a regular, non-empty file of at most 1 GiB without blocking.

    Raises UnusableImageError for anything else. The check before opening avoids side effects of
    opening devices; the check afterwards is decisive.
    """
    try:
        _check_kind(os.stat(path))  # noqa: PTH116 (paths are bytes here)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags), "rb")
    except PermissionError:
        raise UnusableImageError("bad_image", "may not be read: check its permissions") from None
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):  # noqa: PTH114
            text = "is a symbolic link to something that does not exist: fix the link"
        else:
            text = "does not exist: check the path"
        raise UnusableImageError("not_found", text) from None
    except OSError as error:  # ELOOP, ENAMETOOLONG, EIO and others
        why = (error.strerror or type(error).__name__).lower()
        raise UnusableImageError("not_found", f"can't be opened ({why}): check the path") from None
    _check_kind(os.fstat(file.fileno()))
    return file


def _check_kind(found: os.stat_result) -> None:
    if (kind := irregular_kind(found)) is not None:
        raise UnusableImageError(
            "bad_image", f"is {kind}, not a regular file: name an image's file"
        )
    if found.st_size == 0:
        raise UnusableImageError("bad_image", "is empty (0 bytes): fetch it again")
    if found.st_size > MAX_SOURCE_BYTES:
        raise UnusableImageError("bad_image", "is over 1 GiB: make a smaller copy")


def hash_source(file: IO[bytes]) -> str:
    """Return the sha256 of a file. Raises UnusableImageError if its size changes meanwhile."""
    size, seen, digest = os.fstat(file.fileno()).st_size, 0, hashlib.sha256()
    try:
        while seen <= size and (chunk := file.read(CHUNK)):
            seen += len(chunk)
            digest.update(chunk)
    except OSError as error:
        raise UnusableImageError("bad_image", f"can't be read ({error.strerror})") from None
    if seen != size:
        raise UnusableImageError(
            "bad_image", "changed while it was read: try again when it is complete"
        )
    return digest.hexdigest()

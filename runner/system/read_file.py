"""Reads a file that a user named; never blocks on a pipe or device."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnreadableFileError(Exception):
    """The file cannot be read; the text is the reason, as the end of a sentence."""


def read_text(path: Path, max_bytes: int) -> str:
    """The text of a regular UTF-8 file of at most `max_bytes`, without a byte order mark.

    Raises UnreadableFileError.
    """
    with open_regular(path) as file:
        try:
            data = file.read(max_bytes + 1)
        except OSError as error:
            raise UnreadableFileError(describe_os_error(error)) from error
    if len(data) > max_bytes:
        raise UnreadableFileError(f"it is larger than {max_bytes:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError("it is not UTF-8 text") from error


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file for reading; never waits, as opening a FIFO would.

    Raises UnreadableFileError. The check before opening spares devices; the one after it counts.
    """
    try:
        check_regular(os.stat(path))  # noqa: PTH116 - the name may hold any bytes
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb")
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte or a surrogate
        raise UnreadableFileError(describe_os_error(error)) from error
    try:
        check_regular(os.fstat(file.fileno()))
    except UnreadableFileError:
        file.close()
        raise
    return file


def irregular_kind(status: os.stat_result) -> str | None:
    """The kind of an irregular file: `a folder`, `a device`; None for a regular file."""
    if stat.S_ISREG(status.st_mode):
        return None
    return KINDS.get(stat.S_IFMT(status.st_mode), "not a file")


def check_regular(status: os.stat_result) -> None:
    """Raises UnreadableFileError for what is not a regular file."""
    if (kind := irregular_kind(status)) is not None:
        raise UnreadableFileError(f"it is {kind}, not a regular file")


def describe_os_error(error: Exception) -> str:
    """The reason in the system's own words: `permission denied`, `file name too long`."""
    if isinstance(error, UnicodeError):
        return "its name is not valid text"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(reason[:1].lower() + reason[1:])

"""The right to write a database: one process has it, and the system ends it with the process.

Two locks: on a file next to the database, which readers can test (`runner.database.liveness`), and,
on Linux, on the database file itself, so that a removed lock file lets no second process in. The
pid in the lock file is only for messages: a file outlives its writer, a lock does not.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from ..errors import BusyError, DatabaseError
from ..paths import unusable_database
from ..system.read_file import describe_os_error
from ..text.sanitize import display_path
from .file_names import canonical_path, lock_file

log = logging.getLogger(__name__)
POLL_S = 0.02
REMOVED_S = 1.0  # a lock file that keeps being removed is waited for
CONTESTED_S = 10.0  # a process that is refused holds a new lock file for a moment
LOCKED_BYTE = 1 << 62  # far beyond those that SQLite locks
HELD = (errno.EAGAIN, errno.EACCES)
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


class DatabaseLock:
    """The lock on the file next to a database, held until `release`."""

    def __init__(self, database: Path, wait_s: float = 0.0) -> None:
        """Take the lock; another holder is waited for, `wait_s` seconds at most.

        Raises BusyError if the lock stays held, DatabaseError if files cannot be locked here.
        """
        self.database = database
        self.descriptor = take(database, wait_s)
        self.contested_since: float | None = None
        self.write_pid()

    def release(self) -> None:
        """Let the next process in."""
        os.close(self.descriptor)

    def restore(self) -> None:
        """Take the lock again if its file was removed or replaced.

        Raises BusyError if another process holds the new file for over CONTESTED_S.
        """
        if is_at(self.descriptor, lock_file(self.database)):
            return
        try:
            former, self.descriptor = self.descriptor, take(self.database)
        except BusyError:
            self.contested_since = self.contested_since or time.monotonic()
            if time.monotonic() - self.contested_since > CONTESTED_S:
                raise
            return
        log.warning("%s was removed or replaced; it is locked again", lock_file(self.database))
        self.contested_since = None
        os.close(former)
        self.write_pid()

    def write_pid(self) -> None:
        """Write our pid into the lock file. A full disk is no reason to stop."""
        with suppress(OSError):
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)


def check_free(database: Path, wait_s: float) -> None:
    """Raises BusyError when another process has the lock, and keeps it for `wait_s` seconds."""
    path = canonical_path(database)
    if lock_file(path).exists():
        DatabaseLock(path, wait_s).release()


def take(database: Path, wait_s: float = 0.0) -> int:
    """Return a locked descriptor of the lock file. Raises BusyError or DatabaseError."""
    began = time.monotonic()
    while True:
        try:
            descriptor = open_lock_file(database)
        except OSError as error:
            raise no_lock_file(database, database.parent, error) from error
        try:
            locked = try_lock(descriptor, database)
            if locked and is_at(descriptor, lock_file(database)):
                descriptor, mine = -1, descriptor
                return mine
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        # Locked, but removed by then: the file that is there now may be locked by another process.
        if time.monotonic() - began >= max(wait_s, REMOVED_S if locked else 0):
            raise busy(database)
        time.sleep(POLL_S)


def open_lock_file(database: Path) -> int:
    """Return a descriptor of the lock file, created if needed. Raises OSError."""
    return os.open(lock_file(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def try_lock(descriptor: int, database: Path) -> bool:
    """Return whether the file could be locked. Raises DatabaseError if its system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        raise no_locks(database, error) from error
    return True


def lock_database_file(descriptor: int, database: Path) -> None:
    """Lock the database file itself, where the system can: a lock of the open descriptor, apart
    from SQLite's. Raises BusyError if another process has it."""
    if sys.platform != "linux":
        return
    request = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, LOCKED_BYTE, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in HELD:
            raise busy(database) from None
        if error.errno not in UNSUPPORTED:
            raise


def is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def busy(database: Path) -> DatabaseError:
    """Return the error for a database that another process works on."""
    pid = lock_owner_pid(database)
    return BusyError(
        f"another vlmsweep{f' (process {pid})' if pid else ''} is working on"
        f" {display_path(database)}",
        hint="vlmsweep queue add gives it more to do, vlmsweep watch shows it; or use"
        " another database for this sweep with --db. Reading is fine",
    )


def no_lock_file(database: Path, folder: Path, error: OSError) -> DatabaseError:
    """Return the error for a folder in which no lock file can be created."""
    reason = f"no file can be created in {folder} ({describe_os_error(error)})"
    return unusable_database(str(database), reason)


def no_locks(database: Path, error: OSError) -> DatabaseError:
    """Return the error for a file system without locks."""
    reason = f"its file system cannot lock files ({describe_os_error(error)})"
    return unusable_database(str(database), reason)


def lock_owner_pid(database: Path) -> int | None:
    """Return the process that wrote its pid last, if it lives; None if that is not known."""
    try:
        pid = int(lock_file(database).read_text()[:20])
    except (OSError, ValueError):
        return None
    return pid if psutil.pid_exists(pid) else None

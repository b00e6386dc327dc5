"""The errors that users see, each with its exit code.

Every message names the problem, the place and the next step. Nothing here prints.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_JOBS_FAILED = 1
EXIT_USAGE = 2
EXIT_DATABASE = 3
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130


class VlmsweepError(Exception):
    """Anything the user can put right. `hint` says how."""

    exit_code = EXIT_USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SweepFileError(VlmsweepError):
    """A sweep file, or the same settings on the command line, cannot be used."""


class QueryError(VlmsweepError):
    """A question to the database could not be answered."""


class DatabaseError(VlmsweepError):
    """The file is not a vlmsweep database, too new, in use, damaged or not writable."""

    exit_code = EXIT_DATABASE


class BusyError(DatabaseError):
    """Another vlmsweep has the right to write it."""


class ExchangeError(VlmsweepError):
    """A file that was to be imported, or to be written, cannot be used; nothing was changed."""

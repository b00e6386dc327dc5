"""Failures with a name: what went wrong, in a class that SQL can group by, and what to do.

`WorkerFailure` is raised where we know the reason ourselves; `classify` reads the reasons out
of other people's exceptions. Nothing here decides what happens next.
"""

from __future__ import annotations

from schemas.errors import ErrorClass


class WorkerFailure(Exception):
    """A failure whose class is known. `hint` is one sentence that says what to do."""

    def __init__(self, error_class: ErrorClass, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class
        self.message = message
        self.hint = hint

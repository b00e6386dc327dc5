"""A request and its reply, as they go over the socket: a JSON object on a line each.

Every request has a name of its own (`uid`), under which it is stored when it was carried out, so
that asking again after a lost reply is harmless.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import EXIT_USAGE, VlmsweepError

LONGEST = 1_000_000  # bytes of a request; a sweep's own text goes by file


class RequestError(VlmsweepError):
    """What was asked cannot be done."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: an action of `runner.control.handlers` and what to do it to."""

    action: str
    arguments: dict[str, Any]
    uid: str = field(default_factory=lambda: secrets.token_hex(8))

    def as_line(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Request:
        """As it was received. Raises RequestError."""
        try:
            found = json.loads(line)
            return cls(str(found["action"]), dict(found["arguments"]), str(found["uid"]))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RequestError(f"that is no request: {error}") from error


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request: `result`, or the message and hint of what prevented it."""

    result: dict[str, Any] | None = None
    message: str | None = None
    hint: str | None = None
    exit_code: int = EXIT_USAGE

    def as_line(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Reply:
        """As it was received. Raises ValueError or TypeError when it is torn."""
        return cls(**json.loads(line))

    @classmethod
    def of(cls, error: VlmsweepError) -> Reply:
        """An error, as the asking command is to show it."""
        return cls(message=error.message, hint=error.hint, exit_code=error.exit_code)

    def unwrap(self) -> dict[str, Any]:
        """The result. Raises RequestError when there is none."""
        if self.result is not None:
            return self.result
        error = RequestError(self.message or "that could not be done", self.hint)
        error.exit_code = self.exit_code
        raise error

"""Requests and replies of the control socket: one JSON object per line each.

Every request has its own `uid`, under which its reply is stored, so that sending it again after a
lost reply is harmless.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import EXIT_USAGE, VlmsweepError

LONGEST = 1_000_000  # bytes of a request; a sweep's own text goes by file


class RequestError(VlmsweepError):
    """The request cannot be executed."""


@dataclass(frozen=True, slots=True)
class Request:
    """The name of an action (`runner.control.registry`) and its arguments."""

    action: str
    arguments: dict[str, Any]
    uid: str = field(default_factory=lambda: secrets.token_hex(8))

    def as_line(self) -> bytes:
        """Return the JSON line to send."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Request:
        """Parse a received line. Raises RequestError."""
        try:
            found = json.loads(line)
            return cls(str(found["action"]), dict(found["arguments"]), str(found["uid"]))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RequestError(f"malformed request: {error}") from error


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of a request, or the message and hint of its error."""

    result: dict[str, Any] | None = None
    message: str | None = None
    hint: str | None = None
    exit_code: int = EXIT_USAGE

    def as_line(self) -> bytes:
        """Return the JSON line to send."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Reply:
        """Parse a received line. Raises ValueError or TypeError if it is incomplete."""
        return cls(**json.loads(line))

    @classmethod
    def of(cls, error: VlmsweepError) -> Reply:
        """Return an error as a reply, for the client to show."""
        return cls(message=error.message, hint=error.hint, exit_code=error.exit_code)

    def unwrap(self) -> dict[str, Any]:
        """Return the result. Raises RequestError if the request failed."""
        if self.result is not None:
            return self.result
        error = RequestError(self.message or "that could not be done", self.hint)
        error.exit_code = self.exit_code
        raise error

"""Classed failures for a server's refusals, its errors and the ends of its connections.

Servers explain failures in their own words, so the words are read before the status. Only the
message itself is passed on: some servers quote the whole request, images included.
"""

from __future__ import annotations

import re
import socket
import ssl
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from typing import Any

from schemas.shared.redact import redact

from ...error_classes import WorkerFailure
from .error_patterns import (
    CLASS_BY_STATUS,
    NO_QUOTA,
    QUOTA_HINT,
    SERVER_LOG,
    by_words,
    server_state,
)
from .json_text import load_json

LONGEST = 600
START = (
    "Start it: `ollama serve` (http://127.0.0.1:11434/v1), `lms server start` "
    "(http://127.0.0.1:1234/v1), `vllm serve MODEL` (http://127.0.0.1:8000/v1) or "
    "`python -m mlx_vlm.server` (http://127.0.0.1:8080/v1), and check url."
)
CHECK_URL = "Check url: most servers want it to end in /v1."


class HttpStatusError(WorkerFailure):
    """The server refused, with a status."""

    status = 0


def of_status(status: int, body: bytes, retry_after_s: float | None = None) -> HttpStatusError:
    """A refusal with an HTTP status."""
    value = _json(body)
    words = _short(_find_message(value)) or "no message"
    failure = HttpStatusError("server_error", f"The server answered {status}: {words}")
    failure.status = status
    if status == 429 and NO_QUOTA.search(body[:LONGEST].decode("utf-8", "replace")):
        failure.error_class, failure.hint = "gated", QUOTA_HINT
        return failure
    failure.error_class, failure.hint = CLASS_BY_STATUS.get(status, ("server_error", SERVER_LOG))
    if status not in (401, 403) and (known := by_words(words)):
        failure.error_class, failure.hint = known
    if failure.error_class in ("network", "server_error"):
        failure.server_state = server_state(status, words)
        failure.requeue = status >= 500 or failure.server_state is not None
    if failure.server_state is not None:
        estimate_s = value.get("estimated_time") if isinstance(value, dict) else None
        if retry_after_s is None and isinstance(estimate_s, int | float) and estimate_s >= 0:
            retry_after_s = float(min(estimate_s, 60.0))
        failure.retry_after_s = retry_after_s
    return failure


def of_event(error: Any) -> WorkerFailure:
    """An error that was sent within an answer, with or without a status of its own."""
    words = _short(_find_message(error)) or "no message"
    error_class, hint = by_words(words) or ("server_error", SERVER_LOG)
    failure = WorkerFailure(error_class, f"The server failed during its answer: {words}", hint)
    if error_class in ("network", "server_error"):
        failure.requeue = True
        code = error.get("code") if isinstance(error, dict) else None
        failure.server_state = server_state(code, words) if isinstance(code, int) else None
    return failure


def _json(body: bytes) -> Any:
    """The body as JSON, else as text."""
    text = body.decode("utf-8", "replace")
    try:
        return load_json(text)
    except (ValueError, RecursionError):
        return text


def _find_message(value: Any) -> str:
    """The message in the forms that servers use: OpenAI's, FastAPI's, and plain text."""
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, list):  # pydantic's list, without the `input` that quotes the request
        return _short("; ".join(filter(None, map(_find_message, value[:5]))))
    if not isinstance(value, dict):
        return ""
    if "msg" in value:
        location = value.get("loc")
        prefix = ".".join(map(str, location)) + ": " if isinstance(location, list) else ""
        return _short(f"{prefix}{value['msg']}")
    keys = ("error", "message", "detail")
    return next(filter(None, (_find_message(value.get(key)) for key in keys)), "")


def _short(text: str) -> str:
    text = re.sub(r"(data:[\w/+.-]*;base64,)[A-Za-z0-9+/=]+", r"\1…", text)
    text = redact(" ".join(text.split()))  # before the cut: a part of a secret has no form
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def unreachable(url: str, reason: object) -> WorkerFailure:
    """No connection, or one that was lost before the request was sent."""
    if isinstance(reason, ConnectionRefusedError):
        return _away(f"Nothing answers at {url} (connection refused)", START)
    if isinstance(reason, TimeoutError):
        return _away(f"{url} did not take the connection in time", START)
    if isinstance(reason, socket.gaierror):
        return _away(f"The host of {url} is not known", "Check url.")
    if isinstance(reason, ssl.SSLError):
        hint = "Check its certificate, or whether url should begin with http://."
        return WorkerFailure("network", f"No safe connection to {url}: {reason}", hint)
    if isinstance(reason, ConnectionError):
        return _away(
            f"The server at {url} closed the connection before it had the whole request",
            "The images may be too large for it. " + SERVER_LOG,
        )
    return _away(f"No connection to {url}: {reason}", START)


def connection_lost(error: Exception | None = None) -> WorkerFailure:
    """The connection ended before the answer was complete."""
    lost = isinstance(error, OSError | RemoteDisconnected | IncompleteRead)
    if error is not None and not lost:  # http.client's own complaint about what was sent
        text = "its response is not HTTP" if isinstance(error, BadStatusLine) else str(error)
        return protocol_error(text or type(error).__name__)
    reason = f": {type(error).__name__}" if error is not None else ""
    return _away(
        f"The server closed the connection before its answer was complete{reason}",
        "It may have died or been stopped. " + SERVER_LOG,
    )


def _away(message: str, hint: str) -> WorkerFailure:
    return WorkerFailure("network", message, hint, requeue=True, server_state="away")


def redirected(location: str) -> WorkerFailure:
    """Redirects are not followed."""
    return WorkerFailure(
        "network",
        f"The server sends us on to {_short(location.partition('?')[0])}, which is not followed",
        "If images (and the key) should go there, give it as url.",
    )


def protocol_error(reason: str, hint: str = CHECK_URL) -> WorkerFailure:
    """The server answers, but not in the form of the protocol."""
    return WorkerFailure(
        "protocol", f"This does not look like an OpenAI-compatible server: {_short(reason)}", hint
    )


def no_answer(reason: str) -> WorkerFailure:
    """The response is complete and well formed, but has no answer in it."""
    return WorkerFailure("protocol", f"The server sent no answer: {_short(reason)}", SERVER_LOG)

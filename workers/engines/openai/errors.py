"""What a server's refusals and a connection's ends mean, as classed failures.

Servers say why in words of their own, so the words are looked at before the status. Nothing of
a message but its own words is passed on: some servers quote the whole request, images and all.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from dataclasses import dataclass
from http.client import BadStatusLine, RemoteDisconnected
from typing import Any

from schemas.errors import ErrorClass
from schemas.shared.redact import redact

from ...error_classes import WorkerFailure

LONGEST = 600
START = (
    "Start it: `ollama serve` (http://127.0.0.1:11434/v1), `lms server start` "
    "(http://127.0.0.1:1234/v1), `vllm serve MODEL` (http://127.0.0.1:8000/v1) or "
    "`python -m mlx_vlm.server` (http://127.0.0.1:8080/v1), and check url."
)
KEY = "Let api_key_env name the environment variable that holds the server's key."
SERVER_LOG = "Look into the server's own log."


@dataclass(frozen=True, slots=True)
class ErrorPattern:
    """What a server's words mean."""

    error_class: ErrorClass
    words: re.Pattern[str]
    hint: str


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


_IMAGE = r"(image|vision|multi-?modal|mmproj|image)"
SAID = (
    ErrorPattern(
        "out_of_memory",
        _words(
            r"out of memory|more (system )?memory|(not enough|insufficient) (system )?memory"
            r"|insufficient resources|bad_alloc|metal::malloc|failed to allocate"
        ),
        "Use a smaller model or image, or close what else the server has loaded.",
    ),
    ErrorPattern(
        "too_long",
        _words(
            r"context (length|window|size)|max_model_len|n_ctx|prompt is too long|too many tokens"
            r"|exceeds? the (model's )?max|exceeds? the available context|longer than the max"
        ),
        "Use smaller or fewer images, or give the server a longer context.",
    ),
    ErrorPattern(
        "unsupported",
        _words(
            rf"{_IMAGE}.{{0,60}}(not|n't|un)[ -]?(be )?(support|accept|allow|process)"
            rf"|(not|n't|un)[ -]?(support|accept|allow|process).{{0,60}}{_IMAGE}"
            rf"|(not|isn't) a {_IMAGE}|missing data required for image|at most \d+ image"
        ),
        "The model as served can't do this: use a vision model, or fewer images a job.",
    ),
    ErrorPattern(
        "bad_image",
        _words(
            r"cannot identify image|(invalid|corrupt\w*|broken) image"
            r"|failed to (decode|load|process|open) (the )?image"
        ),
        "Open the image elsewhere to check it.",
    ),
    ErrorPattern(
        "not_found",
        _words(
            r"model.{0,200}(not found|does not exist|not exist)|no (such )?models? (loaded|named)"
        ),
        "Check the model's name as the server knows it.",
    ),
)
BY_STATUS: dict[int, tuple[ErrorClass, str]] = {
    401: ("gated", KEY),
    403: ("gated", KEY),
    404: ("not_found", "Check the model's name, and url: most servers want it to end in /v1."),
    408: ("network", "The server gave up waiting. " + SERVER_LOG),
    413: ("too_long", "Use smaller or fewer images, or let the server take larger requests."),
    429: ("network", "The server is busy: let nothing else use it meanwhile."),
    502: ("network", "What stands before the server can't reach it."),
    503: ("network", "The server is busy, or still loading: wait until it is ready."),
    504: ("network", "What stands before the server gave up waiting for it."),
}


def of_status(status: int, body: bytes) -> WorkerFailure:
    """A refusal with an HTTP status."""
    words = error_text(body) or "without a word"
    error_class, hint = BY_STATUS.get(status, ("server_error", SERVER_LOG))
    if status not in (401, 403):
        error_class, hint = _by_words(words) or (error_class, hint)
    return WorkerFailure(error_class, f"The server answered {status}: {words}", hint)


def of_event(error: Any) -> WorkerFailure:
    """An error told amid an answer."""
    words = _find(error) or "without a word"
    error_class, hint = _by_words(words) or ("server_error", SERVER_LOG)
    return WorkerFailure(error_class, f"The server failed amid its answer: {words}", hint)


def _by_words(words: str) -> tuple[ErrorClass, str] | None:
    return next(((s.error_class, s.hint) for s in SAID if s.words.search(words)), None)


def error_text(body: bytes) -> str:
    """A server's own words out of an error's body, in one bounded line."""
    text = body.decode("utf-8", "replace")
    try:
        found = _find(json.loads(text))
    except (ValueError, RecursionError):
        found = text
    return _short(found)


def _find(value: Any) -> str:
    """The words in the forms servers put them: OpenAI's, FastAPI's, and plain ones."""
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, list):  # pydantic's list, without the `input` that quotes the request
        return _short("; ".join(filter(None, map(_find, value[:5]))))
    if not isinstance(value, dict):
        return ""
    if "msg" in value:
        where = value.get("loc")
        place = ".".join(map(str, where)) + ": " if isinstance(where, list) else ""
        return _short(f"{place}{value['msg']}")
    return next(filter(None, (_find(value.get(key)) for key in ("error", "message", "detail"))), "")


def _short(text: str) -> str:
    text = re.sub(r"(data:[\w/+.-]*;base64,)[A-Za-z0-9+/=]+", r"\1…", text)
    text = redact(" ".join(text.split()))  # before the cut: a part of a secret has no form
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def unreachable(url: str, reason: object) -> WorkerFailure:
    """No connection, or it was lost before the request was through."""
    if isinstance(reason, ConnectionRefusedError):
        return WorkerFailure("network", f"Nothing answers at {url} (connection refused)", START)
    if isinstance(reason, TimeoutError):
        return WorkerFailure("network", f"{url} did not take the connection in time", START)
    if isinstance(reason, socket.gaierror):
        return WorkerFailure("network", f"The host of {url} is not known", "Check url.")
    if isinstance(reason, ssl.SSLError):
        hint = "Check its certificate, or whether url should begin with http://."
        return WorkerFailure("network", f"No safe connection to {url}: {reason}", hint)
    if isinstance(reason, ConnectionError):
        return WorkerFailure(
            "network",
            f"The server at {url} closed the connection before it had the whole request",
            "The images may be too large for it. " + SERVER_LOG,
        )
    return WorkerFailure("network", f"{url} can't be asked: {reason}", START)


def connection_lost(error: Exception | None = None) -> WorkerFailure:
    """The connection ended before the answer was complete."""
    if isinstance(error, BadStatusLine) and not isinstance(error, RemoteDisconnected):
        return protocol_error("what it answers is not HTTP")
    why = f": {type(error).__name__}" if error is not None else ""
    return WorkerFailure(
        "network",
        f"The server closed the connection before its answer was complete{why}",
        "It may have died or been stopped. " + SERVER_LOG,
    )


def redirected(location: str) -> WorkerFailure:
    """Redirects are not followed."""
    return WorkerFailure(
        "network",
        f"The server sends us on to {_short(location.partition('?')[0])}, which is not followed",
        "If that is where images (and the key) should go, give it as url.",
    )


def protocol_error(what: str) -> WorkerFailure:
    """The server answers, but not as such a server does."""
    return WorkerFailure(
        "protocol",
        f"This does not look like an OpenAI-compatible server: {_short(what)}",
        "Check url: most servers want it to end in /v1.",
    )

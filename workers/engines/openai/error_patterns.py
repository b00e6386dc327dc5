"""Recognises the class of a failure by a server's words or its status."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.errors import ErrorClass
from schemas.events import ServerState

KEY = "Let api_key_env name the environment variable that holds the server's key."
SERVER_LOG = "Check the server's own log."


@dataclass(frozen=True, slots=True)
class ErrorPattern:
    """A class of failure, recognised by words in a server's message."""

    error_class: ErrorClass
    words: re.Pattern[str]
    hint: str


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


IMAGE = r"(image|picture|vision|multi-?modal|mmproj)"
PATTERNS = (
    ErrorPattern(
        "out_of_memory",
        _regex(
            r"out of memory|more (system )?memory|(not enough|insufficient) (system )?memory"
            r"|insufficient resources|bad_alloc|metal::malloc|failed to allocate"
        ),
        "Use a smaller model or image, or close what else the server has loaded.",
    ),
    ErrorPattern(
        "too_long",
        _regex(
            r"context (length|window|size)|max_model_len|n_ctx|prompt is too long|too many tokens"
            r"|exceeds? the (model's )?max|exceeds? the available context|longer than the max"
        ),
        "Use smaller or fewer images, or give the server a longer context.",
    ),
    ErrorPattern(
        "unsupported",
        _regex(
            rf"{IMAGE}.{{0,60}}(not|n't|un)[ -]?(be )?(support|accept|allow|process)"
            rf"|(not|n't|un)[ -]?(support|accept|allow|process).{{0,60}}{IMAGE}"
            rf"|(not|isn't) a {IMAGE}|missing data required for image|at most \d+ image"
        ),
        "The model as served can't do this: use a vision model, or fewer images per job.",
    ),
    ErrorPattern(
        "bad_image",
        _regex(
            r"cannot identify image|(invalid|corrupt\w*|broken) image"
            r"|failed to (decode|load|process|open) (the )?image"
        ),
        "Open the image elsewhere to check it.",
    ),
    ErrorPattern(
        "not_found",
        _regex(
            r"model.{0,200}(not found|does not exist|not exist)|no (such )?models? (loaded|named)"
        ),
        "Check the model's name as the server knows it.",
    ),
)
CLASS_BY_STATUS: dict[int, tuple[ErrorClass, str]] = {
    401: ("gated", KEY),
    403: ("gated", KEY),
    404: ("not_found", "Check the model's name, and url: most servers want it to end in /v1."),
    408: ("network", "The server gave up waiting. " + SERVER_LOG),
    413: ("too_long", "Use smaller or fewer images, or let the server take larger requests."),
    429: ("network", "The server is busy: let nothing else use it meanwhile."),
    502: ("network", "The proxy of the server cannot reach it."),
    503: ("network", "The server is busy, or still loading: wait until it is ready."),
    504: ("network", "The proxy of the server gave up waiting for it."),
}
# The statuses of "away" may also be the fault of the request: before it is sent again, a GET checks
# whether the server answers.
STATE_BY_STATUS: dict[int, ServerState] = {
    408: "away",
    425: "busy",
    429: "busy",
    502: "away",
    503: "busy",
    504: "away",
    529: "busy",
}
LOADING = _regex(r"loading model|(is|currently|still) loading|model.{0,40}being loaded")
NO_QUOTA = _regex(r"insufficient_quota|exceeded your current quota|billing")
QUOTA_HINT = "The account of the key has no quota left: check the provider's billing page."


def by_words(words: str) -> tuple[ErrorClass, str] | None:
    """The class and hint that the first matching pattern gives."""
    return next(((p.error_class, p.hint) for p in PATTERNS if p.words.search(words)), None)


def server_state(status: int, words: str) -> ServerState | None:
    """The state of the server that a status and a message mean; None if it can answer."""
    state = STATE_BY_STATUS.get(status)
    return "loading" if state and LOADING.search(words) else state

"""What a server's answer says: pieces of text, why it ended, and what it cost.

A streamed answer is a chain of JSON chunks; a server that does not stream sends one object, and
is read as a chain of one. Unknown keys are nobody's business. Only what is told is taken for
known: a count of 0 input tokens is what servers say that do not count.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...error_classes import WorkerFailure
from . import errors, sse
from .client import read_json

DONE = "[DONE]"
LARGEST_ANSWER = 1 << 20  # characters; the event that carries an answer has a limit too
REASONING = ("reasoning_content", "reasoning")  # vLLM, LM Studio / Ollama, mlx_vlm, newer vLLM


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counts as the server tells them, None where it does not."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    image_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of an answer. `last` says that the protocol's own end was seen."""

    text: str = ""
    reasoning: str = ""
    finish: str | None = None
    usage: Usage | None = None
    last: bool = False


def read_chunks(response: http.client.HTTPResponse) -> Iterator[Chunk]:
    """The chunks as they arrive. Raises WorkerFailure for errors told amid them."""
    if response.headers.get_content_type() == "text/html":
        raise errors.protocol_error("it answers with a web page")
    if not is_streamed(response):
        yield _chunk(read_json(response), last=True)
        return
    try:
        for data in sse.read_data(response):
            if data.strip() == DONE:
                yield Chunk(last=True)
                return
            yield _chunk(_parse(data, response))
    except ValueError as error:
        raise errors.protocol_error(str(error)) from error


def is_streamed(response: http.client.HTTPResponse) -> bool:
    """Whether the answer comes as it is made."""
    return response.headers.get_content_type() != "application/json"


def _parse(data: str, response: http.client.HTTPResponse) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        if response.isclosed():  # torn at the stream's end: no nonsense, only half of something
            raise errors.connection_lost() from error
        raise errors.protocol_error(f"not JSON: {data[:200]}") from error


def _chunk(value: Any, last: bool = False) -> Chunk:
    if not isinstance(value, dict):
        raise errors.protocol_error(f"not an object: {value!r}"[:200])
    error = value.get("error")
    if error or value.get("object") == "error":
        raise errors.of_event(error or value)
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    if not isinstance(choice, dict) or ("choices" not in value and "usage" not in value):
        raise _unexpected_response(value)
    delta = choice.get("delta") or choice.get("message") or {}
    if not isinstance(delta, dict):
        raise _unexpected_response(value)
    finish = choice.get("finish_reason")
    return Chunk(
        text=_text(delta.get("content")),
        reasoning=next(filter(None, (_text(delta.get(name)) for name in REASONING)), ""),
        finish=finish if isinstance(finish, str) and finish else None,
        usage=_usage(value.get("usage")),
        last=last,
    )


def _unexpected_response(value: Any) -> WorkerFailure:
    return errors.protocol_error(f"no chat completion: {json.dumps(value)[:200]}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, dict):
        return None
    details = value.get("prompt_tokens_details")
    return Usage(
        input_tokens=_count(value.get("prompt_tokens")) or None,
        output_tokens=_count(value.get("completion_tokens")),
        image_tokens=_count(details.get("image_tokens")) if isinstance(details, dict) else None,
    )


def _count(value: Any) -> int | None:
    known = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if known else None

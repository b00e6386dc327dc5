"""Reads a server's response: pieces of text, the reason of its end, and token counts.

A streamed answer is a series of JSON chunks; a response in one JSON object is read as one chunk.
The form is recognised by the first bytes, because servers send wrong content types. Unknown keys
are ignored; content in an unknown form is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from schemas.shared.redact import redact, redact_head

from ...error_classes import WorkerFailure
from . import errors, sse
from .client import LARGEST_BODY, parse_json
from .content import Content, read_content, read_reasoning
from .http_response import HttpResponse
from .json_text import load_json
from .usage import Usage, read_usage

DONE = "[DONE]"
LARGEST_ANSWER = 1 << 20  # characters; the event that carries an answer has a limit too
REASONING = ("reasoning_content", "reasoning")  # vLLM, LM Studio / Ollama, mlx_vlm, newer vLLM
EVENT_STARTS = (b"data", b"event", b"id", b"retry", b"error", b":")
SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of an answer. `last` marks the end that the protocol defines.

    `whole` marks an answer that was not streamed. `tools` says that it calls tools.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish: str | None = None
    usage: Usage | None = None
    last: bool = False
    whole: bool = False
    tools: bool = False


def read_chunks(response: HttpResponse) -> Iterator[Chunk]:
    """The chunks as they arrive. Raises WorkerFailure, also for errors sent within them."""
    start, pieces = _peek(response.pieces())
    if not start:
        raise errors.no_answer("the response is empty")
    if start[:1] in (b"{", b"["):
        yield _whole(pieces)
    elif start[:1] == b"<" or response.content_type == "text/html":
        raise errors.protocol_error("it answers with a web page")
    elif start.startswith(EVENT_STARTS):
        yield from _streamed(pieces)
    else:
        shown = redact_head(start, SHOWN)
        raise errors.protocol_error(f"its answer is neither JSON nor an event stream: {shown}")


def _peek(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes that tell the form, and all pieces again."""
    taken, start = [], b""
    for piece in pieces:
        taken.append(piece)
        start = (start + piece).lstrip(b" \t\r\n").removeprefix(sse.BOM).lstrip(b" \t\r\n")
        begins = any(name.startswith(start) for name in EVENT_STARTS)
        if start and not begins and not sse.BOM.startswith(start):
            break
        if sum(map(len, taken)) > LARGEST_BODY:
            raise errors.protocol_error(f"its answer begins with {LARGEST_BODY:,} blanks")
    return start, chain(taken, pieces)


def _whole(pieces: Iterator[bytes]) -> Chunk:
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > LARGEST_BODY:
            break
    body = bytes(data).removeprefix(sse.BOM)
    first, _, rest = body.strip().partition(b"\n")
    try:
        return read_chunk(parse_json(body), whole=True)
    except WorkerFailure:
        if rest.lstrip().startswith(b"{") and _is_json(first):
            raise errors.protocol_error("it answers with JSON lines") from None
        raise


def _is_json(data: bytes) -> bool:
    try:
        load_json(data)
    except (ValueError, RecursionError):
        return False
    return True


def _streamed(pieces: Iterator[bytes]) -> Iterator[Chunk]:
    try:
        for event in sse.read_events(pieces):
            if event.data.strip() == DONE:
                yield Chunk(last=True)
                return
            yield _event_chunk(event)
    except ValueError as error:
        raise errors.protocol_error(str(error)) from error


def _event_chunk(event: sse.ServerSentEvent) -> Chunk:
    try:
        value = load_json(event.data)
    except (ValueError, RecursionError) as error:
        if event.is_error:
            raise errors.of_event(event.data) from error
        if not event.complete:  # the stream ended within it
            raise errors.connection_lost() from error
        raise errors.protocol_error(f"not JSON: {redact(event.data)[:SHOWN]}") from error
    if event.is_error:
        raise errors.of_event(value)
    return read_chunk(value)


def read_chunk(value: Any, whole: bool = False) -> Chunk:
    """One JSON object as a chunk. Raises WorkerFailure."""
    if not isinstance(value, dict):
        raise errors.protocol_error(f"not an object: {redact(str(value))[:SHOWN]}")
    error = value.get("error")
    if error or value.get("object") == "error":
        raise errors.of_event(error or value)
    choice = _choice(value)
    delta = choice.get("delta") or choice.get("message") or {}
    if not isinstance(delta, dict):
        raise _unexpected_response(value)
    finish = choice.get("finish_reason")
    content, reasoning = _content(choice, delta)
    return Chunk(
        text=content.text,
        reasoning=reasoning + content.reasoning,
        refusal=content.refusal,
        finish=finish if isinstance(finish, str) and finish else None,
        usage=read_usage(value.get("usage")),
        last=whole,
        whole=whole,
        tools=bool(delta.get("tool_calls")),
    )


def _choice(value: dict[str, Any]) -> dict[str, Any]:
    """The first choice of an object; others are ignored. Empty for one without choices."""
    if "choices" not in value and "usage" not in value:
        raise _unexpected_response(value)
    choices = value.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(item, dict) for item in choices):
        raise _unexpected_response(value)
    return next((item for item in choices if item.get("index") in (0, None)), {})


def _content(choice: dict[str, Any], delta: dict[str, Any]) -> tuple[Content, str]:
    """All content of a choice, and its reasoning fields. Raises WorkerFailure."""
    try:
        content = read_content(delta.get("content"))
        if not delta:
            content += read_content(choice.get("text"))
        refusal = delta.get("refusal")
        if refusal is not None:
            refused = read_content(refusal)
            content += Content(refusal=refused.text + refused.refusal)
        fields = (read_reasoning(delta.get(name)) for name in REASONING)
        return content, next(filter(None, fields), "")
    except (ValueError, RecursionError) as error:
        raise errors.protocol_error(str(error) or "deeply nested content") from error


def _unexpected_response(value: Any) -> WorkerFailure:
    return errors.protocol_error(f"no chat completion: {redact(json.dumps(value))[:SHOWN]}")

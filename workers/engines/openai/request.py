"""From a conversation to a request's body. Images go as the very bytes that were prepared."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from schemas.commands import Turn
from schemas.generation import Generation

from ...error_classes import WorkerFailure

PNG = b"\x89PNG\r\n\x1a\n"
LARGE_SIDE = 1024
Body = dict[str, Any]
# Keys that the protocol does not have; servers that do not know them ignore them in silence.
EXTRAS = ("top_k", "repetition_penalty")


def chat_request(model: str, turns: Sequence[Turn], generation: Generation) -> Body:
    """The request for an answer to the last of `turns`."""
    return {
        "model": model,
        "messages": [_message(turn) for turn in turns],
        "max_tokens": generation.max_new_tokens,
        "stream": True,
        **_sampling(generation),
    }


def without_images(body: Body) -> Body:
    """The same request without its images, for one token: only the text is counted."""
    messages = []
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, list):
            content = [part for part in content if part["type"] == "text"]
        messages.append({**message, "content": content})
    return {**body, "messages": messages, "max_tokens": 1}


def with_large_image(body: Body) -> Body:
    """The same request with one large image instead of its images, for one token."""
    url = f"data:image/png;base64,{base64.b64encode(_large_png()).decode('ascii')}"
    messages = without_images(body)["messages"]
    first = next(i for i, message in enumerate(messages) if message["role"] == "user")
    content = messages[first]["content"]
    text = [{"type": "text", "text": content}] if isinstance(content, str) else content
    image = {"type": "image_url", "image_url": {"url": url}}
    messages[first] = {**messages[first], "content": [image, *text]}
    return {**body, "messages": messages, "max_tokens": 1}


def warm_up(model: str) -> Body:
    """The shortest request: makes the server load its model."""
    return chat_request(model, [Turn(text="Hello")], Generation(max_new_tokens=1))


def non_standard_settings(generation: Generation) -> list[str]:
    """The settings asked for that a server may ignore without saying so."""
    return [name for name in EXTRAS if getattr(generation, name) is not None]


def _sampling(generation: Generation) -> Body:
    names = [*EXTRAS]
    if generation.do_sample:
        names += ["temperature", "top_p", "seed"]
    given = {name: getattr(generation, name) for name in names}
    greedy = {} if generation.do_sample else {"temperature": 0}
    return greedy | {name: value for name, value in given.items() if value is not None}


def _message(turn: Turn) -> Body:
    if not turn.images:
        return {"role": turn.role, "content": turn.text}
    images = [{"type": "image_url", "image_url": {"url": _url(path)}} for path in turn.images]
    return {"role": turn.role, "content": [*images, {"type": "text", "text": turn.text}]}


@cache
def _large_png() -> bytes:
    """A grey image of LARGE_SIDE pixels a side."""
    rows = (b"\0" + b"\x80" * LARGE_SIDE) * LARGE_SIDE
    header = struct.pack(">IIBBBBB", LARGE_SIDE, LARGE_SIDE, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return PNG + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def _url(path: str) -> str:
    data = Path(path).read_bytes()
    if not data.startswith(PNG):
        raise WorkerFailure("bad_image", f"{Path(path).name} is not a prepared image (PNG)")
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"

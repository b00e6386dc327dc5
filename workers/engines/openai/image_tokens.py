"""Counts the tokens of images by asking the server again without them.

Servers report the length of the whole prompt, but rarely which part of it is images. The same
text is sent without images, once per text and for one token; the difference is the images' share
(with the marks that the model's template puts around them).

Images that add no tokens are an error only on proof: a large image adds none either, the server
counted the text both times, and no prompt was cached. In every other case the number is unknown,
because servers cache prompts or do not count images.
"""

from __future__ import annotations

import hashlib
import json

from ...error_classes import WorkerFailure
from . import request
from .request import Body
from .server import OpenAIServer
from .usage import Usage

MOST_TEXTS = 1000
HINT = "Use a vision model, and serve it with its vision part (with llama.cpp: its mmproj file)."


class ImageTokenCounter:
    """Counts image tokens; remembers the counts of requests that were already sent."""

    def __init__(self, server: OpenAIServer) -> None:
        self._server = server
        self._counts: dict[str, Usage] = {}

    def count(self, body: Body, usage: Usage, images: int, notes: list[str]) -> int | None:
        """The image tokens of an answered request; None if unknown, with a note.

        Raises `image_ignored` on proof that the images were not used.
        """
        if not images:
            return 0
        if usage.image_tokens:
            return usage.image_tokens
        if usage.input_tokens is None:
            return None
        text = self._probe(request.without_images(body), notes)
        if text.input_tokens is None:
            return None
        counts = (
            f"{usage.input_tokens} input tokens with {images} image(s), {text.input_tokens} without"
        )
        if usage.input_tokens > text.input_tokens:
            return usage.input_tokens - text.input_tokens
        if usage.input_tokens == text.input_tokens and not (
            usage.cached_tokens or text.cached_tokens
        ):
            large = self._probe(request.with_large_image(body), notes)
            if large.input_tokens == text.input_tokens and not large.cached_tokens:
                message = f"The server answered without the image: {counts}"
                raise WorkerFailure("image_ignored", message, HINT)
        notes.append(f"image tokens unknown: {counts}")
        return None

    def _probe(self, body: Body, notes: list[str]) -> Usage:
        """The counts of a request for one token; unknown ones if the server refuses it."""
        key = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        if key in self._counts:
            return self._counts[key]
        if len(self._counts) >= MOST_TEXTS:
            self._counts.clear()
        try:
            with self._server.chat(body) as chunks:
                usages = [chunk.usage for chunk in chunks if chunk.usage]
        except WorkerFailure as failure:
            notes.append(f"image tokens unknown: the request to count them failed: {failure}")
            if failure.requeue:  # it may succeed the next time
                return Usage()
            usages = []
        counted = [usage for usage in usages if usage.input_tokens]
        self._counts[key] = counted[-1] if counted else Usage()
        return self._counts[key]

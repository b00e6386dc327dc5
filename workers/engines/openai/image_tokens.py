"""Did the server look? How many tokens an image cost, by asking once more without it.

Servers tell how long the whole prompt was, but hardly any what part of it was images. So the
same text is asked without them, once a text, for one token: the difference is what the images
cost (with the marks that the model's template puts around them). A server that takes no more
tokens with an image than without has dropped it. Where the server counts nothing, nothing is
known, and nothing is asked.
"""

from __future__ import annotations

import hashlib
import json

from ...error_classes import WorkerFailure
from . import request
from .request import Body
from .response import Usage, read_chunks
from .server import OpenAIServer

MOST_TEXTS = 1000
HINT = "Use a vision model, and serve it with its vision part (with llama.cpp: its mmproj file)."


class ImageTokenCounter:
    """Counts image tokens; remembers what each text costs alone."""

    def __init__(self, server: OpenAIServer) -> None:
        self._server = server
        self._alone: dict[str, int | None] = {}

    def count(self, body: Body, usage: Usage, images: int, notes: list[str]) -> int | None:
        """The tokens that stand for the images of an answered request; None if unknown.

        Raises `image_ignored` where there are none.
        """
        if not images:
            return 0
        if usage.image_tokens:
            return usage.image_tokens
        told = usage.input_tokens
        alone = None if told is None else self._text_alone(request.without_images(body), notes)
        found: int | None
        if told is None or alone is None:
            found, why = usage.image_tokens, "the server counts no image tokens"
        else:
            found = max(0, told - alone)
            why = f"{told} input tokens with {images} image(s), {alone} without"
        if found == 0:
            message = f"The server answered without looking: {why}"
            raise WorkerFailure("image_ignored", message, HINT)
        return found

    def _text_alone(self, body: Body, notes: list[str]) -> int | None:
        """What the server's count is for the text alone; None where it won't answer that."""
        text = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        if text not in self._alone:
            if len(self._alone) >= MOST_TEXTS:
                self._alone.clear()
            try:
                with self._server.chat(body) as response:
                    usages = [chunk.usage for chunk in read_chunks(response)]
            except WorkerFailure as failure:
                notes.append(f"image tokens unknown: asked without an image, {failure.message}")
                if failure.error_class == "network":  # may well answer the next time
                    return None
                usages = []
            counts = [usage.input_tokens for usage in usages if usage and usage.input_tokens]
            self._alone[text] = counts[-1] if counts else None
        return self._alone[text]

"""Any model behind an OpenAI-compatible server (Ollama, LM Studio, vLLM, mlx_vlm.server).

The server loads, prepares and generates; this joins the parts that ask it and measures what can
be seen from outside: times by our clock, tokens by the server's count, and nothing of its memory.
It starts no server and stops none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from schemas.commands import Load, Turn
from schemas.events import Loaded, Progress
from schemas.generation import Generation
from schemas.shared.redact import add_secret

from ...checkpoint import Checkpoint
from ...engine import DeviceMemory, GeneratedAnswer
from ...error_classes import WorkerFailure
from ...families import FamilyModule
from ...timing import EventSink, LoadClock, RunTimer
from . import request
from .client import Client
from .image_tokens import ImageTokenCounter
from .response import read_chunks
from .server import OpenAIServer
from .stream import StreamedAnswer, read_answer

# A vision model may refuse a question without an image and yet do its work.
TOLERATED = ("unsupported", "server_error")


class OpenAIEngine:
    """See `workers.engine.Engine` for what each method promises."""

    _server: OpenAIServer
    _model: str
    _images: ImageTokenCounter

    def load(
        self, checkpoint: Checkpoint, family: FamilyModule, ask: Load, emit: EventSink
    ) -> Loaded:
        """Checks that the server answers and knows the model, and lets it load it."""
        clock = LoadClock()
        if not ask.url:
            raise WorkerFailure("protocol", "The openai engine needs the url of a server.")
        self._model = ask.model
        self._server = OpenAIServer(Client(ask.url, api_key(ask.api_key_env)))
        self._images = ImageTokenCounter(self._server)
        emit(Progress(phase="load", message=f"asking {ask.url} for {ask.model}"))
        notes = [f"served at {ask.url}", self._server.check_model(ask.model)]
        self._server.look_up_version()
        emit(Progress(phase="load", message="waiting for the server to load the model"))
        notes += self._warm_up()
        return Loaded(
            engine="openai",
            family=family.FAMILY.name,
            model_class="unknown",
            device="server",
            dtype="unknown",
            dtype_reason="the server does not tell",
            versions=self._server.versions,
            notes=[note for note in notes if note],
            **_only_floats(clock.figures()),
        )

    def sees_videos(self, turns: Sequence[Turn]) -> bool:
        return False  # the protocol knows images only

    def generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer
    ) -> GeneratedAnswer:
        body = request.chat_request(self._model, turns, generation)
        meter.mark_inputs_ready(None)
        with self._server.chat(body) as response:
            heard = read_answer(response, meter)
        meter.ended()
        self._count(body, heard, sum(len(turn.images) for turn in turns), meter)
        if unsure := request.non_standard_settings(generation):
            heard.notes.append(
                f"{' and '.join(unsure)} sent, but no part of the protocol: the server may have "
                "ignored it"
            )
        return GeneratedAnswer(
            raw_text=heard.raw,
            text=" ".join(heard.text.split()),
            finish_reason=heard.finish_reason(generation.max_new_tokens),
            notes=heard.notes,
        )

    def device_memory(self) -> DeviceMemory:
        return DeviceMemory()

    def reset_device_peak(self) -> None:
        """There is none to be seen."""

    def free_cached_memory(self) -> None:
        """They are the server's."""

    def _warm_up(self) -> list[str]:
        """Lets the server load the model now, so that no answer is timed with it."""
        try:
            with self._server.chat(request.warm_up(self._model)) as response:
                usages = [chunk.usage for chunk in read_chunks(response)]
        except WorkerFailure as failure:
            if failure.error_class not in TOLERATED:
                raise
            return [f"the server refused a first question without an image: {failure.message}"]
        if any(usage and usage.input_tokens for usage in usages):
            return []
        return ["the server tells no token counts"]

    def _count(
        self, body: request.Body, heard: StreamedAnswer, images: int, meter: RunTimer
    ) -> None:
        usage = heard.usage
        nothing_but_text = usage.output_tokens == 0 and heard.raw  # so it did not count
        meter.set_output_tokens(None if nothing_but_text else usage.output_tokens)
        image_tokens = self._images.count(body, usage, images, heard.notes)
        meter.set_token_counts(usage.input_tokens, image_tokens)


def api_key(variable: str | None) -> str | None:
    """The key in an environment variable, which is kept out of all events from now on."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise WorkerFailure(
            "gated",
            f"api_key_env names the environment variable {variable}, which is not set",
            f"Set it where vlmsweep is started: export {variable}=...",
        )
    add_secret(key)
    if not key.isascii() or not key.isprintable():
        raise WorkerFailure("gated", f"The key in {variable} has characters no header can hold")
    return key


def _only_floats(figures: dict[str, float]) -> dict[str, Any]:
    return dict(figures)

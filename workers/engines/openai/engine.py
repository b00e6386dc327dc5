"""Any model behind an OpenAI-compatible server (Ollama, LM Studio, vLLM, mlx_vlm.server).

The server loads, prepares and generates. This engine sends requests and measures from outside:
times by our clock, tokens by the server's count, and nothing of its memory. It starts no server
and stops none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from schemas.commands import Load, Turn
from schemas.events import Loaded, Progress, ServerState, Waiting
from schemas.generation import Generation
from schemas.shared.redact import add_secret

from ...checkpoint import Checkpoint
from ...engine import DeviceMemory, GeneratedAnswer
from ...error_classes import WorkerFailure
from ...families import FamilyModule
from ...reasoning_parser import ReasoningParser
from ...timing import EventSink, LoadClock, RunTimer
from . import request
from .client import Client
from .image_tokens import ImageTokenCounter
from .server import OpenAIServer
from .server_waits import Patience, ServerWaits
from .stream import StreamedAnswer, read_answer

# A vision model may refuse a question without an image and still answer those with one.
TOLERATED = ("unsupported", "server_error")


class LoadWaits:
    """Emits the waits of a load and adds them up."""

    def __init__(self, emit: EventSink) -> None:
        self._emit = emit
        self.waited_s = 0.0

    def wait_for_server(
        self, server_state: ServerState, reason: str, attempt: int, retry_in_s: float
    ) -> None:
        """The server cannot answer; the next request follows in `retry_in_s` seconds."""
        self._emit(
            Waiting(
                server_state=server_state,
                reason=reason,
                attempt=attempt,
                retry_in_s=retry_in_s,
                waited_s=self.waited_s,
            )
        )

    def add_wait(self, seconds: float) -> None:
        """So much time was spent waiting."""
        self.waited_s += seconds

    def restart(self) -> None:
        """Does nothing: the time of a load includes the wait."""


def check_server(ask: Load, limit_s: float) -> None:
    """Check in advance that the server lists the model. Raises the `WorkerFailure` of a load.

    Each wait takes `limit_s` seconds at most, and no request is repeated.
    """
    if not ask.url:
        raise WorkerFailure("protocol", "The openai engine needs the url of a server.")
    client = Client(ask.url, api_key(ask.api_key_env), limit_s, limit_s)
    waits = ServerWaits(Patience.during_run(0.0), LoadWaits(lambda event: None))
    OpenAIServer(client, waits).check_model(ask.model)


class OpenAIEngine:
    """See `workers.engine.Engine` for what each method promises."""

    reasoning_parser: ReasoningParser
    check_server = staticmethod(check_server)
    _server: OpenAIServer
    _model: str
    _images: ImageTokenCounter
    _patience: Patience

    def load(
        self, checkpoint: Checkpoint, family: FamilyModule, ask: Load, emit: EventSink
    ) -> Loaded:
        """Checks that the server answers and knows the model, and lets it load it."""
        clock, listener = LoadClock(), LoadWaits(emit)
        if not ask.url:
            raise WorkerFailure("protocol", "The openai engine needs the url of a server.")
        self._model = ask.model
        self.reasoning_parser = ReasoningParser()  # a server does not show the chat template
        self._patience = Patience.during_run(ask.server_wait_s)
        waits = ServerWaits(Patience.during_load(), listener)
        self._server = OpenAIServer(Client(ask.url, api_key(ask.api_key_env)), waits)
        self._images = ImageTokenCounter(self._server)
        emit(Progress(phase="load", message=f"asking {ask.url} for {ask.model}"))
        try:
            notes = [f"served at {ask.url}", self._server.check_model(ask.model)]
            self._server.look_up_version()
            emit(Progress(phase="load", message="waiting for the server to load the model"))
            notes += self._warm_up()
        except WorkerFailure as failure:
            failure.waited_s = listener.waited_s
            raise
        return Loaded(
            engine="openai",
            family=family.FAMILY.name,
            model_class="unknown",
            device="server",
            dtype="unknown",
            dtype_reason="the server does not report it",
            versions=self._server.versions,
            notes=[note for note in (*notes, *waits.notes()) if note],
            waited_s=listener.waited_s,
            **_only_floats(clock.figures()),
        )

    def sees_videos(self, turns: Sequence[Turn]) -> bool:
        return False  # the protocol knows images only

    def generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer
    ) -> GeneratedAnswer:
        waits = self._server.waits = ServerWaits(self._patience, meter)
        try:
            return self._generate(turns, generation, meter, waits)
        except WorkerFailure as failure:
            failure.notes += waits.notes()
            raise

    def _generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer, waits: ServerWaits
    ) -> GeneratedAnswer:
        body = request.chat_request(self._model, turns, generation)
        self._server.wait_until_back()
        meter.mark_inputs_ready(None)
        with self._server.chat(body, measured=True) as chunks:
            received = read_answer(chunks, meter)
        meter.ended()
        finish_reason = received.finish_reason(generation.max_new_tokens)
        try:
            self._count(body, received, sum(len(turn.images) for turn in turns), meter)
        except WorkerFailure as failure:  # the answer is complete: it is stored with the failure
            failure.text, failure.reasoning = received.text, received.reasoning
            failure.notes += received.notes
            raise
        if unsure := request.non_standard_settings(generation):
            received.notes.append(
                f"{' and '.join(unsure)} sent, but no part of the protocol: the server may have "
                "ignored it"
            )
        return GeneratedAnswer(
            raw_text=received.raw,
            text=received.text,
            reasoning=received.reasoning,
            finish_reason=finish_reason,
            notes=[*received.notes, *waits.notes()],
        )

    def device_memory(self) -> DeviceMemory:
        return DeviceMemory()

    def reset_device_peak(self) -> None:
        """The server's memory cannot be seen."""

    def free_cached_memory(self) -> None:
        """The server's caches cannot be freed."""

    def _warm_up(self) -> list[str]:
        """Lets the server load the model now, so that no answer is timed with it."""
        try:
            with self._server.chat(request.warm_up(self._model)) as chunks:
                usages = [chunk.usage for chunk in chunks]
        except WorkerFailure as failure:
            if failure.error_class not in TOLERATED:
                raise
            return [f"the server refused a first question without an image: {failure.message}"]
        if any(usage and usage.input_tokens for usage in usages):
            return []
        return ["the server reports no token counts"]

    def _count(
        self, body: request.Body, received: StreamedAnswer, images: int, meter: RunTimer
    ) -> None:
        usage = received.usage
        not_counted = usage.output_tokens == 0 and received.raw
        meter.set_output_tokens(None if not_counted else usage.output_tokens)
        image_tokens = self._images.count(body, usage, images, received.notes)
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

"""One OpenAI-compatible server: its models, its version, and chats that wait for it.

It knows the protocol's addresses and the one key that some servers refuse (`stream_options`).
Requests are built by `request`, responses are read by `response`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from ...error_classes import WorkerFailure
from . import errors
from .client import Client, raise_for_status
from .errors import HttpStatusError
from .http_response import HttpResponse
from .request import Body
from .response import Chunk, read_chunks
from .server_waits import Attempts, ServerWaits

USAGE = {"stream_options": {"include_usage": True}}
VERSIONS = {"vllm": "/version", "ollama": "/api/version"}
REFUSED = (400, 422)
LONGEST_VERSION = 100
LISTED = 5  # models that an error names
MOST_DROPPED = 3  # requests dropped by a server that answers others: the request may be the cause


class OpenAIServer:
    """Facts about a server, and the requests to it. `waits` belongs to the current run."""

    def __init__(self, client: Client, waits: ServerWaits) -> None:
        self._client = client
        self.waits = waits
        self.versions: dict[str, str] = {}
        # Whether a request with the key, or the only possible one without it, was ever accepted.
        self._settled = False
        self.asks_usage = True
        self._away = False

    @property
    def _models_url(self) -> str:
        return f"{self._client.url}/models"

    def check_model(self, name: str) -> str | None:
        """Raises not_found if the server lists its models and `name` is not one of them.

        The result is a note on what could not be checked, or None.
        """
        try:
            listing, headers = self._list_models()
        except HttpStatusError as refusal:
            if refusal.status not in (404, 405, 501):
                raise
            return "the server has no list of its models: the name was not checked"
        if "server" in headers:
            self.versions["server"] = headers["server"][:LONGEST_VERSION]
        models = _model_ids(listing)
        if not models:
            return "the server's list of models is empty: the name was not checked"
        if name not in models and f"{name}:latest" not in models:  # Ollama's tag may be left out
            raise _unknown_model(name, models)
        return None

    def _list_models(self) -> tuple[Any, dict[str, str]]:
        attempts = self.waits.attempts()
        while True:
            try:
                return self._client.get_json(self._models_url)
            except WorkerFailure as failure:
                attempts.wait_after(failure)

    def look_up_version(self) -> None:
        """Adds the server's own version if one of the known addresses returns it."""
        parts = urlsplit(self._client.url)
        for name, path in VERSIONS.items():
            try:
                value, _ = self._client.get_json(f"{parts.scheme}://{parts.netloc}{path}")
            except WorkerFailure:
                continue
            version = value.get("version") if isinstance(value, dict) else None
            if isinstance(version, str):
                self.versions[name] = version[:LONGEST_VERSION]
                return

    def wait_until_back(self) -> None:
        """After a lost connection: waits until the server answers. Raises WorkerFailure."""
        if self._away:
            self._poll(self.waits.attempts())

    @contextmanager
    def chat(self, body: Body, *, measured: bool = False) -> Iterator[Iterator[Chunk]]:
        """The chunks of the answer to a chat request. Raises WorkerFailure.

        The request is repeated while the server cannot answer and nothing of an answer has
        arrived. `measured` says that the answer is timed, so that a repeat restarts the clock.
        """
        response, chunks = self._first_chunk(body, self.waits.attempts(measured))
        with response:
            yield self._rest(chunks)

    def _first_chunk(self, body: Body, attempts: Attempts) -> tuple[HttpResponse, Iterator[Chunk]]:
        dropped = 0
        while True:
            response = None
            try:
                response = self._open(body)
                chunks = read_chunks(response)
                return response, chain([next(chunks)], chunks)
            except WorkerFailure as failure:
                if response is not None:
                    response.close()
                dropped += failure.server_state == "away"
                self._away = failure.server_state == "away"
                if dropped >= MOST_DROPPED:
                    failure.server_state = None
                attempts.wait_after(failure)
                if self._away:
                    self._poll(attempts)
                attempts.send_again()

    def _poll(self, attempts: Attempts) -> None:
        """Asks for the models until the server answers, whatever the answer is."""
        while self._away:
            try:
                self._client.get_status(self._models_url)
                self._away = False
                attempts.succeeded()
            except WorkerFailure as failure:
                if failure.server_state is None:  # it answers, though with an error
                    self._away = False
                else:
                    attempts.wait_after(failure)

    def _rest(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks; a connection that is lost between them is remembered."""
        try:
            yield from chunks
        except WorkerFailure as failure:
            self._away = self._away or failure.server_state == "away"
            failure.server_state = None  # part of an answer arrived: the job may be the cause
            raise

    def _open(self, body: Body) -> HttpResponse:
        """The accepted response to a chat request."""
        url = f"{self._client.url}/chat/completions"
        if self.asks_usage:
            response = self._client.open(url, body | USAGE)
            try:
                self._check(response)
                self._settled = True
                return response
            except HttpStatusError as refusal:
                # Until the key was accepted once, it may be the reason for any refusal.
                named = "stream_options" in refusal.message or "include_usage" in refusal.message
                if refusal.status not in REFUSED or (self._settled and not named):
                    raise
        response = self._client.open(url, body)
        self._check(response)
        self._settled, self.asks_usage = True, False
        return response

    @staticmethod
    def _check(response: HttpResponse) -> None:
        """Raises WorkerFailure unless the status is 200; then the response is closed."""
        try:
            raise_for_status(response)
        except BaseException:
            response.close()
            raise


def _model_ids(listing: Any) -> list[str]:
    """The ids in a list of models, in the forms of LM Studio, Ollama, vLLM and others."""
    models = listing
    if isinstance(listing, dict):
        models = listing["data"] if "data" in listing else listing.get("models")
        if models is None and "data" in listing:
            return []  # Ollama without any model
    if not isinstance(models, list):
        raise errors.protocol_error("it returns no list of models")
    names = (_model_id(model) for model in models)
    return [name for name in names if name is not None]


def _model_id(model: Any) -> str | None:
    if isinstance(model, str):
        return model
    if not isinstance(model, dict):
        return None
    return next((str(model[key]) for key in ("id", "model", "name") if key in model), None)


def _unknown_model(name: str, models: list[str]) -> WorkerFailure:
    lower = {model.lower(): model for model in models}
    near = [lower[key] for key in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    near += [model for model in models if name.lower() in model.lower() and model not in near]
    listed = sorted(models)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    hint = f"It has {', '.join(listed[:LISTED])}{more}."
    if near:
        hint = f"Did you mean {' or '.join(near[:3])}? {hint}"
    return WorkerFailure("not_found", f"The server has no model {name!r}", hint)

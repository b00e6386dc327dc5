"""One server as an OpenAI-compatible one: which models it has, what it is, and chats.

It knows the protocol's addresses and the one key that servers disagree about (`stream_options`);
what is asked is `asking`'s, what is answered `reply`'s.
"""

from __future__ import annotations

import difflib
import http.client
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from ...error_classes import WorkerFailure
from . import errors
from .client import Client, HttpStatusError, check
from .request import Body

USAGE = {"stream_options": {"include_usage": True}}
VERSIONS = {"vllm": "/version", "ollama": "/api/version"}
REFUSED = (400, 422)
LONGEST_VERSION = 100


class OpenAIServer:
    """What is known of a server, and the way to ask it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.versions: dict[str, str] = {}
        # Whether a request with the key, or the only possible one without it, was ever accepted.
        self._settled = False
        self.asks_usage = True

    def check_model(self, name: str) -> str | None:
        """Raises not_found where the server lists its models and `name` is none of them.

        The result says what could not be checked, or None.
        """
        try:
            listing, headers = self._client.get_json(f"{self._client.url}/models")
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
            raise _unknown(name, models)
        return None

    def look_up_version(self) -> None:
        """Adds the server's own version where it has one of the known addresses for it."""
        parts = urlsplit(self._client.url)
        for name, path in VERSIONS.items():
            try:
                told, _ = self._client.get_json(f"{parts.scheme}://{parts.netloc}{path}")
            except WorkerFailure:
                continue
            version = told.get("version") if isinstance(told, dict) else None
            if isinstance(version, str):
                self.versions[name] = version[:LONGEST_VERSION]
                return

    @contextmanager
    def chat(self, body: Body) -> Iterator[http.client.HTTPResponse]:
        """The accepted answer to a chat request. Raises WorkerFailure."""
        with ExitStack() as stack:
            yield self._open(stack, body)

    def _open(self, stack: ExitStack, body: Body) -> http.client.HTTPResponse:
        url = f"{self._client.url}/chat/completions"
        if self.asks_usage:
            response = stack.enter_context(self._client.ask(url, body | USAGE))
            try:
                check(response)
                self._settled = True
                return response
            except HttpStatusError as refusal:
                # Until the key was once accepted it may be what is refused, whatever is said.
                named = "stream_options" in refusal.message or "include_usage" in refusal.message
                if refusal.status not in REFUSED or (self._settled and not named):
                    raise
        response = stack.enter_context(self._client.ask(url, body))
        check(response)
        self._settled, self.asks_usage = True, False
        return response


def _model_ids(listing: Any) -> list[str]:
    """The ids of a models list; of LM Studio, Ollama, vLLM and others alike."""
    data = listing.get("data") if isinstance(listing, dict) else listing
    if not isinstance(data, list):
        if isinstance(listing, dict) and data is None and "data" in listing:
            return []  # Ollama without any model
        raise errors.protocol_error("its list of models is none")
    return [str(model["id"]) for model in data if isinstance(model, dict) and "id" in model]


def _unknown(name: str, models: list[str]) -> WorkerFailure:
    lower = {model.lower(): model for model in models}
    near = [lower[key] for key in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    near += [model for model in models if name.lower() in model.lower() and model not in near]
    shown = near[:3] or sorted(models)[:5]
    hint = f"Did you mean {' or '.join(shown)}?" if near else f"It has {', '.join(shown)}."
    return WorkerFailure("not_found", f"The server has no model {name!r}", hint)

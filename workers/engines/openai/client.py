"""HTTP to one server, by the standard library alone.

Connecting is quick or fails; reading waits as long as it takes, for the supervisor's limits are
the only ones. No redirect is followed (images and key would go where nobody sent them), no
proxy stands before this machine's own addresses, and nothing is tried twice. What the bodies
mean is `server`'s and `sse`'s affair.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from ...error_classes import WorkerFailure
from . import errors

CONNECT_S = 10.0
LARGEST_BODY = 4 << 20
LARGEST_ERROR = 64 << 10


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(None)  # the limit was for connecting


class _SecureConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(None)


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


class Client:
    """Sends requests to `url` and below; `key` is the bearer token, if there is one."""

    def __init__(self, url: str, key: str | None = None, connect_s: float = CONNECT_S) -> None:
        self.url = url.rstrip("/")
        self._connect_s = connect_s
        self._headers = {"Accept": "application/json, text/event-stream", "User-Agent": "vlmsweep"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        # No handler for redirects and none that turns a status into an exception.
        self._opener = urllib.request.OpenerDirector()
        proxies: dict[str, str] | None = {} if is_loopback(urlsplit(url).hostname or "") else None
        for handler in (urllib.request.ProxyHandler(proxies), _Handler(), _SecureHandler()):
            self._opener.add_handler(handler)

    @contextmanager
    def ask(self, url: str, body: Any = None) -> Iterator[http.client.HTTPResponse]:
        """The answer to a GET, or to a POST of `body` as JSON, whatever its status.

        Raises WorkerFailure, also for what breaks while the answer is being read.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": "application/json"} if data else {})
        request = urllib.request.Request(url, data, headers)
        try:
            with self._opener.open(request, timeout=self._connect_s) as response:
                yield response
        except urllib.error.URLError as error:
            raise errors.unreachable(self.url, error.reason) from error
        except (OSError, http.client.HTTPException) as error:
            raise errors.connection_lost(error) from error

    def get_json(self, url: str) -> tuple[Any, dict[str, str]]:
        """The JSON a GET gives, and the headers with lower-case names. Raises WorkerFailure."""
        with self.ask(url) as response:
            check(response)
            headers = {name.lower(): value for name, value in response.getheaders()}
            return read_json(response), headers


class HttpStatusError(WorkerFailure):
    """The server said no, with a status."""

    def __init__(self, status: int, failure: WorkerFailure) -> None:
        super().__init__(failure.error_class, failure.message, failure.hint)
        self.status = status


def check(response: http.client.HTTPResponse) -> None:
    """Raises Refusal unless the status is 200."""
    status = response.status
    if status == 200:
        return
    if 300 <= status < 400:
        failure = errors.redirected(response.headers.get("Location") or "nowhere")
    else:
        failure = errors.of_status(status, response.read(LARGEST_ERROR))
    raise HttpStatusError(status, failure)


def read_json(response: http.client.HTTPResponse) -> Any:
    """The whole body as JSON. Raises WorkerFailure where it is none, or too large."""
    data = response.read(LARGEST_BODY + 1)
    try:
        if len(data) > LARGEST_BODY:
            raise ValueError(f"over {LARGEST_BODY:,} bytes")
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise errors.protocol_error(f"its answer is not JSON: {error}") from error


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified

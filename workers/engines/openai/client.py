"""HTTP requests to one server, with the standard library only.

Connecting has a time limit; reading has none, because the supervisor's limits apply. No redirect
is followed (images and key would go to an address that nobody gave), loopback addresses use no
proxy, and no request is repeated here.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from . import errors
from .http_response import HttpResponse
from .json_text import load_json
from .retry_policy import parse_retry_after

CONNECT_S = 10.0
POLL_S = 10.0
LARGEST_BODY = 4 << 20
LARGEST_ERROR = 64 << 10


class _Connection(http.client.HTTPConnection):
    def __init__(self, *args: Any, read_s: float | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._read_s = read_s

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self._read_s)  # the other limit was for connecting


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, read_s: float | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._read_s = read_s

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self._read_s)


class _Request(urllib.request.Request):
    read_s: float | None = None


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req, read_s=getattr(req, "read_s", None))


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req, read_s=getattr(req, "read_s", None))


class Client:
    """Sends requests to `url` and below; `key` is the bearer token, if there is one.

    `read_s` limits each wait for data of a request that names no limit of its own.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        connect_s: float = CONNECT_S,
        read_s: float | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._connect_s, self._read_s = connect_s, read_s
        self._headers = {"Accept": "application/json, text/event-stream", "User-Agent": "vlmsweep"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        # No handler for redirects and none that turns a status into an exception.
        self._opener = urllib.request.OpenerDirector()
        proxies: dict[str, str] | None = {} if is_loopback(urlsplit(url).hostname or "") else None
        for handler in (urllib.request.ProxyHandler(proxies), _Handler(), _SecureHandler()):
            self._opener.add_handler(handler)

    def open(self, url: str, body: Any = None, read_s: float | None = None) -> HttpResponse:
        """The response to a GET, or to a POST of `body` as JSON, with any status.

        `read_s` limits each wait for data. Raises WorkerFailure.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": "application/json"} if data else {})
        request = _Request(url, data, headers)
        request.read_s = self._read_s if read_s is None else read_s
        try:
            return HttpResponse(self._opener.open(request, timeout=self._connect_s))
        except urllib.error.URLError as error:
            raise errors.unreachable(self.url, error.reason) from error
        except (OSError, http.client.HTTPException) as error:
            raise errors.connection_lost(error) from error

    def get_json(self, url: str) -> tuple[Any, dict[str, str]]:
        """The JSON that a GET returns, and the headers. Raises WorkerFailure."""
        with self.open(url) as response:
            raise_for_status(response)
            return read_json(response), response.headers

    def get_status(self, url: str) -> None:
        """Raises WorkerFailure if a GET does not reach a server that can answer now."""
        with self.open(url, read_s=POLL_S) as response:
            if response.status >= 500 or response.status == 429:
                raise_for_status(response)


def raise_for_status(response: HttpResponse) -> None:
    """Raises WorkerFailure unless the status is 200."""
    status = response.status
    if status == 200:
        return
    if 300 <= status < 400:
        raise errors.redirected(response.headers.get("location") or "nowhere")
    retry_after_s = parse_retry_after(response.headers, time.time())
    raise errors.of_status(status, response.read(LARGEST_ERROR), retry_after_s)


def read_json(response: HttpResponse) -> Any:
    """The whole body as JSON. Raises WorkerFailure if it is not JSON, or too large."""
    return parse_json(response.read(LARGEST_BODY + 1))


def parse_json(data: bytes) -> Any:
    """A body as JSON; bytes that are not UTF-8 become surrogates. Raises WorkerFailure."""
    try:
        if len(data) > LARGEST_BODY:
            raise ValueError(f"over {LARGEST_BODY:,} bytes")
        encoding = json.detect_encoding(data)
        return load_json(data.decode(encoding, "surrogateescape" if "8" in encoding else "replace"))
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

"""The stand-in server: HTTP on loopback, each request answered in the manner it asks for.

The manner is named by the question ("manner:NAME"), by the model in the same form, or by the
beginning of the path ("/manner/NAME/v1").
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .manner import Manner, event, polite

NAMED = re.compile(r"manner:([\w-]+)")
RESET = struct.pack("ii", 1, 0)  # linger for no time: close sends RST
REBIND_S = 10.0


class Exchange(BaseHTTPRequestHandler):
    """One request, and the ways to answer it. `number` counts requests of its kind from 1."""

    protocol_version = "HTTP/1.1"
    server: MannerServer
    body: dict[str, Any]
    images = 0
    number = 0
    manner = ""

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        """The list of models; nothing else is there to get."""
        manner = self._find_manner(None)
        if not self.path.endswith("/v1/models"):
            self.reply(404, {"detail": "Not Found"})
            return
        self._answer(manner, "models")

    def do_POST(self) -> None:
        """A chat."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.body = body
        contents = [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
        self.images = sum(part["type"] == "image_url" for parts in contents for part in parts)
        self._answer(self._find_manner(json.dumps(body)), "question" if self.images else "probe")

    def _find_manner(self, body: str | None) -> Manner | None:
        parts = self.path.split("/")
        match = NAMED.search(body or "")
        self.manner = parts[2] if parts[1] == "manner" else match[1] if match else ""
        return self.server.manners.get(self.manner)

    def _answer(self, manner: Manner | None, kind: str) -> None:
        self.number = self.server.note(self.manner, kind)
        behave = manner and getattr(manner, kind)
        with suppress(OSError):  # clients may hang up first
            if behave:
                behave(self)
            elif kind == "models":
                self.reply(200, {"object": "list", "data": self.listing()})
            else:
                polite(self)

    def listing(self) -> list[dict[str, str]]:
        """All manners as models, and one for questions that name their manner."""
        names = ["any", *(f"manner:{name}" for name in self.server.manners)]
        return [{"id": name} for name in names]

    def reply(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        """A whole answer; an empty header value leaves the header away."""
        data = value if isinstance(value, bytes) else None
        kind = "application/json" if data is None and not isinstance(value, str) else "text/plain"
        if data is None:
            data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        fields = {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}
        self.head(status, fields)
        self.wfile.write(data)

    def head(self, status: int, fields: dict[str, str]) -> None:
        """Status and headers."""
        self.send_response(status)
        for name, value in fields.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def start(self, headers: dict[str, str] | None = None) -> None:
        """The head of a streamed answer."""
        fields = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        self.head(200, {**fields, **(headers or {})})

    def piece(self, value: Any) -> None:
        """One piece, in an HTTP chunk of its own."""
        data = event(value)
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def end(self) -> None:
        """The end that HTTP wants."""
        self.wfile.write(b"0\r\n\r\n")

    def stream(self, *values: Any, headers: dict[str, str] | None = None) -> None:
        """A whole streamed answer."""
        named = {name.replace("_", "-"): text for name, text in (headers or {}).items()}
        self.start(named)
        for value in values:
            self.piece(value)
        self.end()

    def close(self) -> None:
        """Closes the connection now, in order."""
        self.close_connection = True
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Closes the connection by a reset. What was sent gets a moment to arrive."""
        self.close_connection = True
        self.wfile.flush()
        time.sleep(0.2)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.rfile.close()
        self.connection.close()

    def stall(self) -> None:
        """Sends nothing more until the server is shut down."""
        self.wfile.flush()
        self.server.stopped.wait()
        self.close_connection = True


class MannerServer(ThreadingHTTPServer):
    """Serves the manners and counts requests."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, manners: dict[str, Manner], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Exchange)
        self.manners = manners
        self.stopped = threading.Event()
        self.counted: Counter[tuple[str, str]] = Counter()
        self.times: dict[tuple[str, str], list[float]] = {}
        self._lock = threading.Lock()  # protects the counts
        self._turn = threading.Lock()  # of the listening socket
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """The base URL, without a path."""
        return f"http://127.0.0.1:{self.server_port}"

    def url(self, manner: str) -> str:
        """The base address at which everything is answered in this manner."""
        return f"{self.address}/manner/{manner}/v1"

    def note(self, manner: str, kind: str) -> int:
        """Counts a request; the result is its number among its kind."""
        with self._lock:
            self.counted[manner, kind] += 1
            self.times.setdefault((manner, kind), []).append(time.monotonic())
            return self.counted[manner, kind]

    def begin(self) -> None:
        """Serves in a separate thread."""
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def go_away(self, seconds: float | None) -> None:
        """Nothing listens from now on, for so long or (None) for good."""
        with self._turn:
            if self._thread is None:
                return
            self.shutdown()
            self._thread.join()
            self._thread = None
            self.socket.close()
        if seconds is not None:
            threading.Thread(target=self._come_back, args=[seconds], daemon=True).start()

    def _come_back(self, seconds: float) -> None:
        if self.stopped.wait(seconds):
            return
        until = time.monotonic() + REBIND_S
        with self._turn:
            while True:
                self.socket = socket.socket(self.address_family, self.socket_type)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    self.socket.bind(self.server_address)
                    break
                except OSError:
                    self.socket.close()
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.05)
            self.server_activate()
            self.begin()

    def finish(self) -> None:
        """Lets every request go and closes."""
        self.stopped.set()
        self.go_away(None)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up first is part of it."""


@contextmanager
def serving(manners: dict[str, Manner], port: int = 0) -> Iterator[MannerServer]:
    """The server, for as long as the block lasts."""
    server = MannerServer(manners, port)
    server.begin()
    try:
        yield server
    finally:
        server.finish()

"""A server on loopback that speaks OpenAI's chat protocol, well or badly, as a test wants it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = {"object": "list", "data": [{"id": "seeing-2b"}, {"id": "tall:latest"}]}
TEXT, IMAGE = 12, 64  # tokens this server counts for a prompt, and for each image in it


def chunk(content: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One piece of a streamed answer."""
    choice = {"index": 0, "delta": {"content": content, **delta}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice], "usage": None}


def usage(prompt: int, completion: int, **details: Any) -> dict[str, Any]:
    """The last chunk: no choice, only usage."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, **details}
    return {"choices": [], "usage": counts}


def event(value: Any) -> bytes:
    """A piece as it goes over the wire."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def image_urls(body: dict[str, Any]) -> list[str]:
    """The addresses of all images in a request."""
    parts = [
        part
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
    ]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


class Handler(BaseHTTPRequestHandler):
    """Answers as `self.server.fake_server` says; chats by the function there, GETs by its table."""

    protocol_version = "HTTP/1.1"
    server: Server

    def version_string(self) -> str:
        return "testing/1.0"

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self.server.fake_server.seen.append((self.path, dict(self.headers), None))
        status, value = self.server.fake_server.gets.get(self.path, (404, {"detail": "Not Found"}))
        if isinstance(value, str):
            self.start(status, {"Location": value})
            self.end()
        else:
            self.json(status, value)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.fake_server.seen.append((self.path, dict(self.headers), body))
        self.server.fake_server.chat(self, body)

    def json(self, status: int, value: Any) -> None:
        """A whole answer."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def start(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """The head of an answer in pieces."""
        self.send_response(status)
        headers = {"Content-Type": "text/event-stream; charset=utf-8", **(headers or {})}
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()

    def piece(self, data: bytes) -> None:
        """Bytes that reach the client by themselves."""
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def end(self) -> None:
        """The end that HTTP wants."""
        self.wfile.write(b"0\r\n\r\n")

    def stream(self, *values: Any) -> None:
        """A whole streamed answer."""
        self.start()
        for value in values:
            self.piece(value if isinstance(value, bytes) else event(value))
        self.end()

    def hang_up(self) -> None:
        """Closes the connection in the middle of things."""
        self.close_connection = True
        self.wfile.flush()


Chat = Callable[[Handler, dict[str, Any]], None]


def polite(handler: Handler, body: dict[str, Any]) -> None:
    """Behaviour of a correct server: streams, counts, reads images."""
    prompt = TEXT + IMAGE * len(image_urls(body))
    if body["max_tokens"] == 1:
        handler.stream(chunk("A"), chunk(finish="length"), usage(prompt, 1), "[DONE]")
        return
    chunks = [
        chunk("", role="assistant"),
        chunk(" A red"),
        chunk(" circle.\n"),
        chunk(finish="stop"),
    ]
    handler.stream(*chunks, usage(prompt, 7), "[DONE]")


def asked(answer: Chat) -> Chat:
    """`answer` for real questions, good manners for the one-token ones."""

    def chat(handler: Handler, body: dict[str, Any]) -> None:
        (polite if body["max_tokens"] == 1 else answer)(handler, body)

    return chat


@dataclass
class FakeServer:
    """The replies of the server, and its requests: path, headers, body."""

    chat: Chat = polite
    gets: dict[str, tuple[int, Any]] = field(default_factory=lambda: {"/v1/models": (200, MODELS)})
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    def chats(self) -> list[dict[str, Any]]:
        """The bodies of the chat requests, in order."""
        return [body for _, _, body in self.seen if body is not None]


class Server(ThreadingHTTPServer):
    """Answers as configured and records requests."""

    fake_server: FakeServer
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up first is part of the tests."""


@contextmanager
def serving(fake_server: FakeServer) -> Iterator[FakeServer]:
    """The server, for as long as the block lasts."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.fake_server = fake_server
        fake_server.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake_server
        finally:
            server.shutdown()
            thread.join()

"""A hub on 127.0.0.1 with a few repositories and the endpoints that huggingface_hub uses.

`gated/*` may not be read, `slow/*` hangs during its weights, anything unknown is 404.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.helpers.waiting import WAIT_S

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """`repositories`: id to its files' names and bytes. `asked` are the paths asked for."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = repositories
        self.asked: list[str] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: Any) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str) -> None:
        self.answer(status, b"", X_Error_Code=code, X_Error_Message=code)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if api else parts[:2])
        files = self.server.repositories.get(name)
        if files is None:
            self.error(404, "RepoNotFound")
        elif api and "auth-check" in parts:
            gated = name.startswith("gated/")
            self.error(403, "GatedRepo") if gated else self.answer(200, b"{}")
        elif api and "tree" in parts:
            self.json(
                [
                    {"type": "file", "path": n, "size": len(b), "oid": sha(b)}
                    for n, b in files.items()
                ]
            )
        elif api:
            self.json(self.info(name, files))
        else:
            self.file(name, files.get("/".join(parts[4:])))

    def json(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def info(self, name: str, files: dict[str, bytes]) -> dict[str, Any]:
        siblings = [{"rfilename": n, "size": len(b), "blobId": sha(b)} for n, b in files.items()]
        gated = "manual" if name.startswith("gated/") else False
        return {"id": name, "sha": COMMIT, "gated": gated, "private": False, "siblings": siblings}

    def file(self, name: str, body: bytes | None) -> None:
        if name.startswith("gated/"):
            self.error(403, "GatedRepo")
        elif body is None:
            self.error(404, "EntryNotFound")
        elif name.startswith("slow/") and self.command == "GET" and len(body) > 5000:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:1000])
            self.wfile.flush()
            self.server.over.wait(WAIT_S)
            self.close_connection = True
        else:
            self.answer(200, body, ETag=f'"{sha(body)}"', X_Repo_Commit=COMMIT)


def entry(name: str, body: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(body), "oid": sha(body)}


def sha(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@contextmanager
def hub(repositories: dict[str, dict[str, bytes]]) -> Iterator[FakeHub]:
    """A hub that serves while the block runs."""
    with FakeHub(repositories) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()

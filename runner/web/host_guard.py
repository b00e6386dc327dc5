"""Middleware for Datasette: refuses other host names, and redirects to the pages with content.

A page elsewhere could have its own name point at this machine (DNS rebinding) and then read the
history as if it were its own; its requests bear that name, and are refused. It does not
depend on the content.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

App = Callable[..., Awaitable[None]]
POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " script-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self';"
    " base-uri 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class HostGuardMiddleware:
    """An ASGI application around another. `home` is led to from `/`.

    `defaults` gives, by path, parameters that are added to an address that lacks them.
    """

    def __init__(
        self, app: App, port: int, home: str, defaults: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.app, self.home, self.defaults = app, home, defaults
        self.hosts = {f"127.0.0.1:{port}".encode(), f"localhost:{port}".encode()}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request, or the server's start and end."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":  # anything else there is none of here
                await self.app(scope, receive, send)
            return
        hosts = [value for key, value in scope["headers"] if key == b"host"]
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            await send_response(send, 421, b"This address is not served here.")
        elif (place := self.elsewhere(scope)) is not None:
            await send_response(send, 302, b"", [(b"location", place.encode())])
        else:
            await self.app(scope, receive, with_security_headers(send))

    def elsewhere(self, scope: dict[str, Any]) -> str | None:
        """The address to redirect a request to, or None."""
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        if path == "/":
            return self.home
        wanted = self.defaults.get(path.partition(".")[0], {})
        given = parse_qs(query, keep_blank_values=True)
        missing = {name: value for name, value in wanted.items() if name not in given}
        return f"{path}?{'&'.join(filter(None, [query, urlencode(missing)]))}" if missing else None


def with_security_headers(send: Any) -> Any:
    """Adds our headers to a reply."""

    async def added(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message.get("headers", []), *HEADERS]}
        await send(message)

    return added


async def send_response(
    send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Sends a complete reply."""
    kind = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS, *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": kind})
    await send({"type": "http.response.body", "body": body})

"""Checks that model servers accept connections, and that their API keys are set."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..text.sanitize import one_line
from .finding import Finding, LoadVariant

LIMIT_S = 1.0


def check_servers(variants: Sequence[LoadVariant]) -> Iterator[Finding]:
    """Yield findings about servers; opens and closes one connection to each."""
    remote = [variant for variant in variants if variant.source == "server"]
    urls = list(dict.fromkeys(variant.load.url or "" for variant in remote))
    with ThreadPoolExecutor(max_workers=8) as pool:
        faults = dict(zip(urls, pool.map(connection_error, urls), strict=True))
    for variant in remote:
        key, url = variant.load.api_key_env, variant.load.url or ""
        if key is not None and not os.environ.get(key):
            message = f"its API key is read from {key}, which is not set"
            yield Finding(variant.severity, "api_key", variant.name, message, f"export {key}=...")
        if (why := faults[url]) is not None:
            message = f"no connection to {url}: {why}"
            yield Finding(variant.severity, "network", variant.name, message, "start the server")


def connection_error(url: str) -> str | None:
    """Return why a connection failed; None if it succeeded, or if a proxy is configured."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=LIMIT_S).close()
    except TimeoutError:
        return f"no answer within {LIMIT_S:g} s"
    except (OSError, UnicodeError) as error:
        return one_line(getattr(error, "strerror", None) or str(error))
    return None

"""Checks that model servers accept connections and list their models, and that keys are set."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..text.sanitize import one_line
from . import probe
from .finding import Finding, LoadVariant

LIMIT_S = 1.0
LISTS_S = 10.0  # for the lists of all servers


def check_servers(variants: Sequence[LoadVariant], made: bool = False) -> Iterator[Finding]:
    """Yield findings about servers, from one connection to each and from its list of models.

    A server that does not answer now is a warning: the jobs wait for it.
    """
    remote = [variant for variant in variants if variant.source == "server"]
    urls = list(dict.fromkeys(variant.load.url or "" for variant in remote))
    with ThreadPoolExecutor(max_workers=8) as pool:
        faults = dict(zip(urls, pool.map(connection_error, urls), strict=True))
    reachable = []
    for variant in remote:
        key, url = variant.load.api_key_env, variant.load.url or ""
        no_key = key is not None and not os.environ.get(key)
        if no_key:
            message = f"its API key is read from {key}, which is not set"
            yield Finding(variant.severity, "api_key", variant.name, message, f"export {key}=...")
        if (why := faults[url]) is not None:
            message = f"no connection to {url}: {why}"
            hint = "start the server; its jobs wait for it for a limited time"
            yield Finding("warning", "network", variant.name, message, hint)
        elif not no_key:
            reachable.append(variant)
    yield from check_models(reachable, made)


def check_models(variants: Sequence[LoadVariant], made: bool) -> Iterator[Finding]:
    """Yield what the worker's own check of each server's list of models finds."""
    for outlook in probe.probe_variants(variants, False, made, LISTS_S):
        variant = outlook.variant
        if outlook.finding is not None:
            yield outlook.finding
        problem = outlook.facts["problem"] if outlook.facts else None
        if problem is not None:
            severity = "warning" if problem["temporary"] else variant.severity
            message, hint = one_line(problem["message"]), problem["hint"]
            yield Finding(severity, problem["error_class"], variant.name, message, hint)


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

"""Validates a server's address and the name of its key's variable; both without secrets."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


# Error messages leave the value out: it may contain a key.
def address(url: str) -> str:
    """A server's address, free of secrets. Raises ValueError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("should be an address such as http://127.0.0.1:11434/v1") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a name or password: use api_key_env for a key")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, without ? or #: use api_key_env for a key")
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise ValueError("should begin with http:// or https:// and name a host")
    return url


def variable(name: str) -> str:
    """An environment variable's name. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("should be the name of an environment variable, not the key itself")
    return name

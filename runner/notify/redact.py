"""Keeps addresses secret: names them without telling them, and takes them out of texts.

Any part of an address may be the secret: user, password, token in the path or the query.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

PARTS = re.compile(r"[/@:?&=,;#\s]+")
SHORT = 4  # what is shorter is no secret, and would be found in every text


def redacted_name(place: int, url: str) -> str:
    """`address 2 (discord)`: its place among all, from 1, and its scheme."""
    scheme = re.match(r"[A-Za-z0-9+.-]{1,20}(?=://)", url)
    return f"address {place} ({scheme[0]})" if scheme else f"address {place}"


def redact(text: str, urls: Sequence[str]) -> str:
    """A text without anything that stands in an address but its scheme."""
    found = set(urls)
    for url in urls:
        rest = url.partition("://")[2] or url
        found |= {part for part in PARTS.split(rest) if len(part) >= SHORT}
    found |= {unquote(part) for part in found}
    for part in sorted(found, key=len, reverse=True):
        text = text.replace(part, "***") if part else text
    return text

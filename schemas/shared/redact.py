"""Removes secrets from text before it is stored, shown or leaves this machine.

The one redactor for events, logs, bundles, reports and notifications. It replaces text that has the
form of a secret (`secret_forms`) and the values of environment variables whose names look secret,
also where those are URL-encoded, JSON-escaped or in base64. Redact first and cut afterwards: a
part of a secret has no form. It is a safety net and proves nothing.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

from .secret_forms import SHOWN, redact_forms

# Whole words of the name decide: TOKENIZERS_PARALLELISM and PATH are not secret.
SECRET_NAME = re.compile(
    r"(?:^|_)(?:\w*API_?KEY|KEYS?|\w*TOKENS?|\w*SECRETS?|\w*PASSWORD|\w*PASSWD|PASS|PASSPHRASE|PWD"
    r"|PAT|DSN|\w*WEBHOOKS?|COOKIES?|CREDENTIALS?|AUTH)(?:_(?:ID|URL|VALUE|\d+))?$|WEBHOOK|SECRET",
    re.IGNORECASE,
)
NOT_SECRET = re.compile(r"^(?:OLD)?PWD$|_(?:PATH|FILE|DIR|HOME|SOCK)$", re.IGNORECASE)
URL_PASSWORD = re.compile(r"://[^/\s:@]{0,256}:([^/\s]{1,512})@")
URL_PARTS = re.compile(r"[/@:?&=,;#\s]+")
SHORTEST = 8  # shorter values occur in many texts: "x", "ollama"
SHORTEST_MIXED = 6  # of letters and digits, such as "hunter2"
SHORTEST_PART = 4  # of an address that is secret as a whole
# Bytes to read beyond a cut, so that no secret stands across it.
MARGIN_BYTES = 16_384

_added: set[str] = set()


def add_secret(secret: str) -> None:
    """Redact this value from now on in this process, under any variable name.

    Values shorter than `SHORTEST` are ignored: servers without a key are given words like "x".
    """
    if len(secret) >= SHORTEST:
        _added.add(secret)


def redact(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text with every known and every recognised secret replaced by `[secret]`."""
    return Redactor(environ)(text)


class Redactor:
    """A function that redacts texts; it reads the environment once, when it is made.

    `urls` are addresses of which any part may be the secret, such as those of notifications.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, urls: Iterable[str] = ()) -> None:
        variables = os.environ if environ is None else environ
        self.values = {form for value in secret_values(variables) for form in encoded_forms(value)}
        self.values |= {part for url in urls for part in url_parts(url)}
        self.added = 0
        self.pattern = any_of(self.values)

    def __call__(self, text: str) -> str:
        """The text with every secret replaced by `[secret]`."""
        if self.added != len(_added):
            self.added = len(_added)
            added = {form for value in list(_added) for form in encoded_forms(value)}
            self.pattern = any_of(self.values | added)
        return redact_forms(self.pattern.sub(SHOWN, text) if self.pattern else text)


def any_of(values: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that matches any of the values, the longest first; None if there are none."""
    ordered = sorted(filter(None, values), key=lambda value: (-len(value), value))
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None


def secret_values(variables: Mapping[str, str]) -> Iterator[str]:
    """Values of variables whose names look secret, and passwords inside any URL."""
    for name, value in variables.items():
        for match in URL_PASSWORD.finditer(value):
            if long_enough(match[1]):
                yield match[1]
        if SECRET_NAME.search(name) and not NOT_SECRET.search(name) and not is_file(value):
            for candidate in {value, value.strip(), *lines_of_key(value)}:
                if long_enough(candidate):
                    yield candidate


def lines_of_key(value: str) -> list[str]:
    """The lines of a value of several, a private key say: a log may quote any of them."""
    lines = [line.strip() for line in value.replace("\\n", "\n").splitlines()]
    return [line for line in lines if len(line) >= 2 * SHORTEST] if len(lines) > 1 else []


def long_enough(value: str) -> bool:
    """True if a value is too long to be an ordinary word or number."""
    mixed = not value.isalpha() and not value.isdigit()
    return len(value) >= (SHORTEST_MIXED if mixed else SHORTEST)


def is_file(value: str) -> bool:
    """True if a value names a file or folder, and so is not secret itself."""
    try:
        return value.startswith(("/", "~")) and Path(value).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def encoded_forms(value: str) -> set[str]:
    """The forms of a value in text: plain, URL-encoded, JSON-escaped or in base64."""
    raw = value.encode("utf-8", "surrogateescape")
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    quoted = quote(raw, safe="")
    forms |= {quoted, quote(raw), quote_plus(raw), unquote(value)}
    forms.add(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted))
    return {form for form in forms | base64_forms(raw) if long_enough(form)}


def base64_forms(raw: bytes) -> set[str]:
    """The parts of base64 text that encode `raw`, at each of the three alignments."""
    forms: set[str] = set()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw)
        first = (0, 2, 3)[before]
        rest = (before + len(raw)) % 3
        last = len(text) if rest == 0 else len(text) - (3 if rest == 1 else 2)
        core = text[first:last].decode("ascii")
        if len(core) >= SHORTEST:
            forms |= {core, core.replace("+", "-").replace("/", "_")}
    return forms


def url_parts(url: str) -> set[str]:
    """An address and every part of it, except its scheme, that may be a secret."""
    rest = url.partition("://")[2] or url
    parts = {part for part in URL_PARTS.split(rest) if len(part) >= SHORTEST_PART}
    return {url} | parts | {unquote(part) for part in parts}


def redact_head(data: bytes, limit: int, errors: str = "replace") -> str:
    """At most `limit` characters from the start of a log, redacted before the cut.

    `data` should hold `MARGIN_BYTES` more than `limit` where the log is longer. `errors` is
    that of `bytes.decode`.
    """
    return redact(data.decode("utf-8", errors))[:limit]


def redact_tail(data: bytes, limit: int, errors: str = "replace") -> str:
    """At most `limit` characters from the end of a log, redacted before the cut."""
    return redact(data.decode("utf-8", errors))[-limit:]

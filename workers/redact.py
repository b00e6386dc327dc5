"""Keeps secrets out of events: no value of a secret-looking environment variable leaves.

Events end up in a database that people share; a library's message may quote a request header.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY|CREDENTIAL|ACCESS_KEY", re.IGNORECASE)
SECRET_FORM = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")
SHORTEST = 8
SHOWN = "[secret]"

_learnt: set[str] = set()


def add_secret(secret: str) -> None:
    """Keep this out of all that is told from now on, whatever its variable was called.

    Too short ones are left: servers without a key are given words such as "x" or "ollama", which
    stand in many a text.
    """
    if len(secret) >= SHORTEST:
        _learnt.add(secret)


def make_scrub(environ: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """A function that replaces every secret in a text.

    Secrets are the values, of 8 characters or more, of variables whose names look secret, and
    whatever has the form of a hub token (it may come from a file instead), and what `learn`
    was given.
    """
    names = os.environ if environ is None else environ
    values = {value for name, value in names.items() if SECRET_NAME.search(name)}
    # Words such as "parallel" or "false" are settings (TOKENIZERS_PARALLELISM), not secrets.
    secrets = sorted((v for v in values if len(v) >= SHORTEST and not v.isalpha()), key=len)

    def scrub(text: str) -> str:
        for secret in (*sorted(_learnt, key=len, reverse=True), *reversed(secrets)):
            text = text.replace(secret, SHOWN)
        return SECRET_FORM.sub(SHOWN, text)

    return scrub

"""Keeps what looks like a secret out of the logs that leave this machine.

Events are scrubbed by the worker before they are stored (`workers.redact`); a log is whatever
libraries printed, so that it is looked through here. It knows forms, and the values of this
process's own secret-looking variables; it is no proof.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

SHOWN = "[secret]"
NAMES = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY|CREDENTIAL|ACCESS_KEY", re.IGNORECASE)
SHORTEST = 8
FORMS = (
    re.compile(r"\bhf_[A-Za-z0-9]{20,}\b"),
    re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}\b"),
    re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)


def redact(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text with every secret that is known as one replaced."""
    names = os.environ if environ is None else environ
    values = {value for name, value in names.items() if NAMES.search(name)}
    # Words such as "parallel" or "false" are settings (TOKENIZERS_PARALLELISM), not secrets.
    for secret in sorted(values, key=len, reverse=True):
        if len(secret) >= SHORTEST and not secret.isalpha():
            text = text.replace(secret, SHOWN)
    for form in FORMS:
        text = form.sub(SHOWN, text)
    return text

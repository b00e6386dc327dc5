"""Patterns of text that is a secret by its form: tokens, headers, logins, private keys, webhooks.

Each pattern is bounded, so that hostile text costs linear time. Groups named `keep` stay in the
text. The patterns prefer to leave ordinary prose alone: what models answer goes through them too.
"""

from __future__ import annotations

import base64
import re

SHOWN = "[secret]"

# Tokens with a prefix of their own.
TOKENS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      hf_[A-Za-z0-9]{20,} | api_org_[A-Za-z0-9]{20,}
    | sk-[A-Za-z0-9_-]{20,} | [sr]k_(?:live|test)_[A-Za-z0-9]{16,}
    | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,}
    | gl[a-z]{2,8}-[A-Za-z0-9_-]{20,}
    | (?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])
    | xox[a-z]-[A-Za-z0-9-]{10,} | xapp-[A-Za-z0-9-]{10,}
    | AIza[A-Za-z0-9_-]{30,} | ya29\.[A-Za-z0-9_-]{20,}
    | npm_[A-Za-z0-9]{30,} | pypi-[A-Za-z0-9_-]{30,}
    | eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*
    )""",
    re.VERBOSE,
)
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
WEBHOOK = re.compile(
    r"""(?P<keep>https?://)(?:
      hooks\.slack(?:-gov)?\.com/ | (?:\w+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/
    | [\w.-]{1,100}\.webhook\.office\.com/
    | api\.telegram\.org/bot | chat\.googleapis\.com/v1/spaces/
    )[^\s"'<>`)\]]{6,}""",
    re.VERBOSE | re.IGNORECASE,
)
# user:password of a URL or a DSN; a bare user name only if it is long enough to be a token.
LOGIN = re.compile(
    r"""(?P<keep>://)(?:[^/\s"'<>:@]{0,256}:[^/\s"'<>]{1,512}|[^/\s"'<>:@]{16,512})(?=@)"""
)
AUTHORIZATION = re.compile(
    r"""(?ix)(?P<keep>\bauthorization\b \\?["']? \s{0,4} [:=,] \s{0,4} b?\\?["']?
      (?:basic|bearer|token|digest|negotiate|ntlm|apikey|aws4-hmac-sha256)\s{1,4})
      [^\r\n"'\\]{1,4096}"""
)
BARE_AUTHORIZATION = re.compile(
    r"""(?ix)(?P<keep>\bauthorization\b \\?["']? \s{0,4} [:=] \s{0,4} b?\\?["']?)
      (?=[^\s"'\\]{0,200}\d) [^\s"'\\]{8,4096}"""
)
BEARER = re.compile(
    r"\b(?P<keep>(?i:bearer)\s{1,4})"
    r"(?=[A-Za-z0-9._~+/=-]{0,200}(?:\d|[a-z][A-Z])|[A-Za-z0-9._~+/=-]{24})"
    r"[A-Za-z0-9._~+/-]{8,}=*"
)
BASIC = re.compile(
    r"\b(?P<keep>basic\s{1,4})(?P<value>[A-Za-z0-9+/_-]{4,2048}={0,2})", re.IGNORECASE
)
COOKIE = re.compile(
    r"""(?ix)(?P<keep>\b(?:set-)?cookie2?\\?["']? \s{0,4} [:=] \s{0,4} b?\\?["']?)
      [^\s=;:"'\\]{1,256}=[^\r\n"'\\]{1,8192}"""
)
NOTHING = r"(?!None\b|null\b|true\b|false\b|\[secret\]|[<{$*])"
# NAME=value as a shell or a .env file has it.
VARIABLE = re.compile(
    r"(?P<keep>\b[A-Z][A-Z0-9_]{0,100}?"
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|(?:ACCESS|PRIVATE|AUTH|MASTER)_KEY"
    r"|CREDENTIALS?|DSN|WEBHOOK(?:_URL)?|COOKIE|_PAT)"
    rf"\s?=\s?[\"']?){NOTHING}[^\s\"']{{4,4096}}|(?P<keep2>\bMYSQL_PWD=)[^\s\"']{{4,4096}}"
)
FIELD_NAMES = (
    r"(?:[\w-]{0,40}?(?:api[-_]?key|(?:access|refresh|auth|id|session|security)[-_]token"
    r"|client[-_]secret|secret[-_]access[-_]key|password|passwd|passphrase|signature))"
)
# "password": "value" and password='value', as JSON, headers and code write it.
QUOTED_FIELD = re.compile(
    rf"""(?ix)(?P<keep>(?<![\w-]){FIELD_NAMES}\\?["']?\s{{0,4}}[:=]\s{{0,4}}b?\\?["'])
      (?!None|\[secret\]) [^\r\n"'\\]{{4,4096}}"""
)
# password=value of a DSN or a query, and `x-api-key: value`; a name in code is not a value.
PLAIN_FIELD = re.compile(
    rf"""(?ix)(?P<keep>(?<![\w-]){FIELD_NAMES}(?:\s?=|:\s{{1,4}}))
      {NOTHING} (?: (?=[^\s"'&,;()]{{0,200}}\d)[^\s"'&,;()\[]{{6,4096}}(?![(\[]) )"""
)
DSN_PASSWORD = re.compile(
    r"""(?ix)(?P<keep>\bpassword=)(?!\[secret\])[^\s"'&;,()\[]{4,512}(?=[ \t]+\w+=|[&;]|["'])
      |(?P<keep2>\b(?:host|user|dbname)=[^\r\n]{1,200}?\bpassword=)(?!\[secret\])[^\s"'&;,()\[]{4,512}"""
)
FORMS = (
    PRIVATE_KEY,
    WEBHOOK,
    LOGIN,
    AUTHORIZATION,
    BARE_AUTHORIZATION,
    BEARER,
    COOKIE,
    VARIABLE,
    QUOTED_FIELD,
    DSN_PASSWORD,
    PLAIN_FIELD,
    TOKENS,
)
SHORTEST = 8  # characters of the shortest text that a pattern can match


def redact_forms(text: str) -> str:
    """The text with everything replaced that has the form of a secret."""
    if len(text) < SHORTEST:
        return text
    for form in FORMS:
        text = form.sub(shown, text)
    return BASIC.sub(basic, text)


def shown(match: re.Match[str]) -> str:
    """The mark, behind what stays of a match."""
    groups = match.groupdict()
    return (groups.get("keep") or groups.get("keep2") or "") + SHOWN


def basic(match: re.Match[str]) -> str:
    """`Basic x` where x is a login in base64, and not a word of prose."""
    value = match["value"]
    padded = value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4)
    try:
        altchars = b"-_" if set(value) & set("-_") else None
        login = base64.b64decode(padded, altchars=altchars, validate=True).decode("utf-8")
    except ValueError:  # no base64, or no text
        return match[0]
    return match["keep"] + SHOWN if ":" in login and login.isprintable() else match[0]

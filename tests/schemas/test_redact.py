"""The redactor finds every kind of secret and leaves what is none."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from schemas.shared import redact as redact_module
from schemas.shared.redact import MARGIN_BYTES, Redactor, redact, redact_head, redact_tail

A = "a1B2c3D4" * 5  # no real token: 40 letters and digits
PRIVATE_KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{A}\n{A}\n-----END OPENSSH PRIVATE KEY-----"
JWT = f"eyJ{A[:20]}.eyJ{A[:20]}.{A[:30]}"
LOGIN = base64.b64encode(b"me:hunter2").decode()

# The text, and the part that must be redacted.
FORMS = [
    (f"hf_{A} is invalid", f"hf_{A}"),
    (f"key sk-proj-{A}", A),
    (f"(sk-ant-api03-{A})", A),
    (f"ghp_{A}", A),
    (f"ghs_{A}", A),
    (f"github_pat_{A}_{A}", A),
    ("AKIA" + "ABCD1234" * 2, "ABCD1234"),
    ("ASIA" + "ABCD1234" * 2, "ABCD1234"),
    (f"xoxb-{A}", A),
    (f"glpat-{A}", A),
    (f"AIza{A}", A),
    (f"token {JWT}.", JWT),
    (f"Bearer {A}", A),
    ("curl -H 'Authorization: Bearer abcdefghijk'", "abcdefghijk"),
    (f"Authorization: Basic {LOGIN}", LOGIN),
    (f"sent basic {LOGIN}", LOGIN),
    ('{"Authorization": "Token abcdefgh"}', "abcdefgh"),
    ("{'Proxy-Authorization': b'Basic bWU6eA=='}", "bWU6eA"),
    (f"authorization: {A}", A),
    ("Cookie: session=abcdef; id=12", "abcdef"),
    ("{'Set-Cookie': 'session=abcdef; Path=/'}", "abcdef"),
    (f"X-Api-Key: {A}", A),
    (f'"api_key": "{A}"', A),
    (f"GET /v1?key=1&access_token={A}&x=2", A),
    ("https://me:pass-word@example.org/x", "pass-word"),
    ("postgres://me:p@ss:w@db.example.org/x", "ss:w"),
    ("redis://:hunter2@localhost", "hunter2"),
    (f"https://{A}@example.org", A),
    ("PGPASSWORD=hunter psql", "hunter"),
    ("export MY_SECRET='letmein'", "letmein"),
    ("MYSQL_PWD=letmein", "letmein"),
    ("host=db user=me password=letmein dbname=x", "letmein"),
    ("host=db user=me password=letmein", "letmein"),
    (f"before\n{PRIVATE_KEY}\nafter", A),
    (f"-----BEGIN RSA PRIVATE KEY-----\n{A}", A),
    (json.dumps(PRIVATE_KEY), A),
    ("https://hooks.slack.com/services/T00/B00/abcdef", "abcdef"),
    ("https://discord.com/api/webhooks/12/abcdef", "abcdef"),
    ("https://ptb.discord.com/api/v10/webhooks/12/abcdef", "abcdef"),
    ("https://x.webhook.office.com/webhookb2/abcdef", "abcdef"),
]
# Ordinary output of models and libraries.
PLAIN = [
    "A basic understanding of the scene; basic composition.",
    "Bearer walking with a flag. The bearer certificate is yellow.",
    "A cookie: chocolate chip. Cookie = food",
    "Authorization: John Smith, please sign here",
    "password: the sign does not say",
    "create(api_key=self.api_key, password=password)",
    "OpenAI(api_key=os.environ['OPENAI_API_KEY'])",
    "api_key=None, token=None, HF_TOKEN=None",
    "TOKENIZERS_PARALLELISM=false",
    "eos_token=</s> pad_token_id=128001 max_new_tokens: 100",
    "http://127.0.0.1:11434/v1 and ssh://git@example.org/x",
    "https://example.org/a:b@c",
    "https://huggingface.co/docs/hf_hub",
    'File "/site-packages/x.py", line 12, in tokenize_password',
    "task-force sk-1 AKIA ghp_ xoxb- glpat-x eyJ.a.b",
    "sha256 " + "0123456789abcdef" * 4,
    "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUg" * 3,
    "<|image_pad|><|vision_start|>" * 20,
    "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
]


@pytest.mark.parametrize(("text", "secret"), FORMS, ids=[text[:30] for text, _ in FORMS])
def test_secrets_are_recognised_by_their_form(text: str, secret: str) -> None:
    redacted = redact(text, {})
    assert secret not in redacted
    assert "[secret]" in redacted
    assert redact(redacted, {}) == redacted


@pytest.mark.parametrize("text", PLAIN, ids=[text[:30] for text in PLAIN])
def test_ordinary_text_is_not_redacted(text: str) -> None:
    assert redact(text, {}) == text


def test_text_around_a_secret_is_kept() -> None:
    assert redact("x https://me:pw123@h/y?z", {}) == "x https://[secret]@h/y?z"
    assert redact(f"before\n{PRIVATE_KEY}\nafter", {}) == "before\n[secret]\nafter"
    assert redact(f"hf_{A}, sk-{A}!", {}) == "[secret], [secret]!"


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_KEY", "PGPASSWORD"),
        *("DB_PASSWD", "GITHUB_PAT", "SENTRY_DSN", "SLACK_WEBHOOK_URL", "SESSION_COOKIE"),
        *("CLIENT_SECRET", "client_secret", "SERVER_APIKEY", "REGISTRY_AUTH", "TOKEN"),
    ],
)
def test_values_of_secret_looking_variables_are_redacted(name: str) -> None:
    assert redact("so open sesame it is", {name: "open sesame"}) == "so [secret] it is"


def test_other_variables_and_short_values_are_not_secrets(tmp_path: Path) -> None:
    environ = {
        "TOKENIZERS_PARALLELISM": "parallel",
        "PATH": "/usr/bin:/bin",
        "PWD": "/home/someone",
        "KEYBOARD": "some-layout-1",
        "SSL_CERT_FILE": "/etc/certificates.pem",
        "HF_TOKEN_PATH": "/somewhere/token-file",
        "MY_KEY": str(tmp_path),
        "A_TOKEN": "ollama",
        "B_TOKEN": "x",
    }
    text = " ".join(environ.values())
    assert redact(text, environ) == text


def test_known_values_are_redacted_in_other_encodings() -> None:
    value = 'päss/wörd+"1"&?'
    redactor = Redactor({"DB_PASSWORD": value})
    encoded = [
        quote(value, safe=""),
        quote(value, safe="").lower(),
        quote_plus(value),
        json.dumps(value)[1:-1],
        base64.b64encode(value.encode()).decode(),
        base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
        *(base64.b64encode(f"{'u' * n}:{value}:x".encode()).decode() for n in range(1, 7)),
    ]
    for form in (value, *encoded):
        redacted = redactor(f"say {form} now")
        assert "[secret]" in redacted, form
        middle = len(form) // 2
        assert form[middle - 4 : middle + 4] not in redacted, form


def test_passwords_in_urls_of_any_variable_are_redacted() -> None:
    environ = {"DATABASE_URL": "postgres://me:letmein7@db/x"}
    assert redact("login failed with letmein7", environ) == "login failed with [secret]"


def test_each_line_of_a_multi_line_key_is_redacted() -> None:
    environ = {"DEPLOY_KEY": PRIVATE_KEY.replace(A, A[::-1])}
    assert A[::-1] not in redact(f"bad line {A[::-1]}", environ)


def test_added_secrets_apply_to_existing_redactors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact_module, "_added", set())
    redactor = Redactor({})
    assert redactor("opensesame") == "opensesame"
    redact_module.add_secret("opensesame")
    assert redactor("opensesame") == "[secret]"


def test_text_is_truncated_after_redaction() -> None:
    token = f"hf_{A}"
    for at in range(len(token)):
        start = "x" * (100 - at) + f" {token} " + "y" * MARGIN_BYTES
        assert "hf_a" not in redact_head(start.encode(), 101), at
        end = "y" * MARGIN_BYTES + f" {token} " + "x" * (100 - at)
        assert A[-8:] not in redact_tail(end.encode(), 101), at


def test_redaction_time_is_linear_for_hostile_text() -> None:
    parts = ("://" + "a:" * 50, "Bearer ", "cookie:", "authorization:", "password=", "-----BEGIN ")
    parts += ("eyJaaaaaa.", "A_" * 20, "sk-", "-----BEGIN PRIVATE KEY-----", "x-api-key:", "a" * 50)
    for part in parts:
        text = part * (200_000 // len(part))
        began = time.process_time()
        redact(text, {})
        assert time.process_time() - began < 20, part

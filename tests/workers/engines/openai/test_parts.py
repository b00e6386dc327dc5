"""The openai engine's parts by themselves, and the keys of the sweep file that lead to it."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.events import FirstToken, Text
from schemas.shared import redact
from schemas.sweep import Model
from workers.engines.openai import sse
from workers.engines.openai.client import _Connection, is_loopback
from workers.timing import RunTimer

URL = "http://127.0.0.1:11434/v1"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_output_tokens_may_be_counted_by_the_engine() -> None:
    emitted: list[Any] = []
    clock = Clock()
    meter = RunTimer(run=1, images=1, emit=emitted.append, clock=clock)
    meter.mark_inputs_ready(None)
    for piece in ("One ", "two.", ""):
        clock.now += 2
        meter.token(piece, None)
    meter.ended()
    clock.now += 50  # what the engine looks up besides
    meter.set_token_counts(80, 64)
    meter.set_output_tokens(9)
    figures = meter.finish("One two.")
    assert (figures.latency_s, figures.ttft_s) == (6, 2)
    assert figures.prompt_tps == 80 / 2
    assert figures.generation_tps == 8 / 4
    assert (figures.input_tokens, figures.image_tokens, figures.output_tokens) == (80, 64, 9)
    counts = [(e.input_tokens if isinstance(e, FirstToken) else e.output_tokens) for e in emitted]
    assert counts == [None] * len(emitted)
    assert "".join(e.text for e in emitted if isinstance(e, Text)) == "One two."


def test_output_tokens_without_counts_are_unknown() -> None:
    clock = Clock()
    meter = RunTimer(run=1, images=1, emit=lambda event: None, clock=clock)
    meter.mark_inputs_ready(None)
    meter.token("a", None)
    clock.now += 1
    meter.token("b", None)
    figures = meter.finish("ab")
    assert (figures.input_tokens, figures.output_tokens) == (None, None)
    assert (figures.prompt_tps, figures.generation_tps) == (None, None)


@pytest.mark.parametrize(
    ("wire", "data"),
    [
        (b"", []),
        (b"data: a\n\ndata:b\n\n", ["a", "b"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b": comment\n\n\n\ndata: a", ["a"]),
        (b"event: x\nid\ndata: a\r\n\r\n", ["a"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: \xff\n\n", ["\udcff"]),
        (b"data: a\rdata: b\r\rdata: c\r\r", ["a\nb", "c"]),
        (b"data\n\n", [""]),
    ],
)
def test_events_are_parsed_from_bytes(wire: bytes, data: list[str]) -> None:
    assert [event.data for event in sse.read_events(iter([wire]))] == data


def test_event_size_is_bounded() -> None:
    beating = b": alive\n" * 1000 + b"data: a\n\n"
    assert [e.data for e in sse.read_events(iter([beating]), longest=50)] == ["a"]
    for wire in (b"data: " + b"x" * 50, b"data: x\n" * 10, b"event: x\n" * 10):
        with pytest.raises(ValueError, match="over 50 bytes"):
            list(sse.read_events(iter([wire]), longest=50))


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_localhost_addresses_are_recognised(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_only_connecting_has_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = _Connection("127.0.0.1", listener.getsockname()[1], timeout=5)
        connection.connect()
        assert connection.sock.gettimeout() is None
        connection.close()


def test_secret_added_later_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_added", set())
    scrub = redact.Redactor({})
    assert scrub("say opensesame") == "say opensesame"
    redact.add_secret("opensesame")
    redact.add_secret("ollama")
    assert scrub("say opensesame to ollama") == "say [secret] to ollama"


def test_server_options_in_a_sweep_file_are_valid() -> None:
    model = Model(id="llava:7b", engine="openai", url=URL, api_key_env="MY_KEY")
    assert (model.url, model.api_key_env) == (URL, "MY_KEY")
    assert Model(id="x", engine="openai", url="https://[::1]:80").api_key_env is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"engine": "openai"}, "needs url"),
        ({"url": URL}, "url would be ignored without engine: openai"),
        ({"engine": "mlx", "api_key_env": "KEY"}, "api_key_env would be ignored"),
        ({"engine": "openai", "url": "http://me:hunter2@host/v1"}, "use api_key_env"),
        ({"engine": "openai", "url": "http://hunter2@host/v1"}, "use api_key_env"),
        ({"engine": "openai", "url": "http://host/v1?key=hunter2"}, "use api_key_env"),
        ({"engine": "openai", "url": "http://host/v1#hunter2"}, "use api_key_env"),
        ({"engine": "openai", "url": "ftp://host/hunter2"}, "http:// or https://"),
        ({"engine": "openai", "url": "host:80/hunter2"}, "http:// or https://"),
        ({"engine": "openai", "url": "http:///hunter2"}, "http:// or https://"),
        ({"engine": "openai", "url": "http://host:hunter2/"}, "should be an address"),
        ({"engine": "openai", "url": "http://ho st/hunter2"}, "http:// or https://"),
        ({"engine": "openai", "url": "http://host/\nhunter2"}, "http:// or https://"),
        ({"engine": "openai", "url": URL, "api_key_env": "sk-hunter2"}, "not the key itself"),
        ({"engine": "openai", "url": URL, "dtype": "float16", "device": "cpu"}, "dtype, device"),
        ({"engine": "openai", "url": URL, "processor": {"a": 1}}, "processor would be ignored"),
    ],
)
def test_invalid_server_options_in_a_sweep_file_are_refused(
    keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"id": "x", **keys})
    (problem,) = caught.value.errors()
    assert problem["type"] == "value_error"
    assert message in problem["msg"]
    assert "hunter2" not in problem["msg"]

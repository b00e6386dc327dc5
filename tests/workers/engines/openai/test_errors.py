"""A real worker process and a server that fails, refuses or lies: each has its class and hint."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schemas.commands import Load, Run, Turn
from schemas.generation import Generation
from tests.helpers.openai_server import Chat, FakeServer, Handler, asked, chunk, event, serving


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    with serving(FakeServer()) as fake_server:
        yield fake_server


def load(fake_server: FakeServer, **more: Any) -> Load:
    return Load(
        **{
            "model": "seeing-2b",
            "local": False,
            "engine": "openai",
            "url": fake_server.url,
            "server_wait_s": 1.0,
        }
        | more
    )


def refused(talk: Callable[..., Any], ask: Load, **more: Any) -> dict[str, Any]:
    """Returns the error of a failed load."""
    spoken = talk([ask], **more)
    assert spoken.code == 3
    (error,) = spoken.named("error")
    assert error["run"] is None
    assert error["phase"] == "load"
    assert error["hint"]
    return dict(error)


def failed(
    talk: Callable[..., Any], fake_server: FakeServer, chat: Chat, image: str
) -> dict[str, Any]:
    """Returns the error of a failed run; the worker continues and answers the next."""
    fake_server.chat = asked(
        lambda h, body: chat(h, body) if "fail" in str(body) else fine(h, body)
    )
    bad = Run(run=1, turns=(Turn(text="fail", images=(image,)),), generation=Generation())
    good = Run(run=2, turns=(Turn(text="go on"),), generation=Generation())
    spoken = talk([load(fake_server), bad, good])
    assert spoken.code == 0
    assert [e["run"] for e in spoken.named("run_finished")] == [2]
    (error,) = spoken.named("error")
    return dict(error)


def fine(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(chunk("Fine.", "stop"), "[DONE]")


def test_connection_refused_is_reported(talk: Callable[..., Any]) -> None:
    with socket.socket() as taken:  # bound, not listening: no other can take the port
        taken.bind(("127.0.0.1", 0))
        fake_server = FakeServer(url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        error = refused(talk, load(fake_server))
    assert error["error_class"] == "network"
    assert "connection refused" in error["message"]
    assert "ollama serve" in error["hint"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("seing-2b", "Did you mean seeing-2b? It has seeing-2b, tall:latest."),
        ("xyz", "It has seeing-2b, tall:latest."),
    ],
)
def test_unknown_model_is_reported(
    talk: Callable[..., Any], fake_server: FakeServer, name: str, hint: str
) -> None:
    error = refused(talk, load(fake_server, model=name))
    assert (error["error_class"], error["hint"]) == ("not_found", hint)
    assert fake_server.chats() == []


@pytest.mark.parametrize("status", [401, 403])
def test_missing_api_key_is_reported(
    talk: Callable[..., Any], fake_server: FakeServer, status: int
) -> None:
    fake_server.gets["/v1/models"] = (status, {"error": {"message": "no key, no model"}})
    error = refused(talk, load(fake_server))
    assert error["error_class"] == "gated"
    assert error["message"] == f"The server answered {status}: no key, no model"
    assert "api_key_env" in error["hint"]


def test_unset_key_variable_is_reported(talk: Callable[..., Any], fake_server: FakeServer) -> None:
    error = refused(talk, load(fake_server, api_key_env="NOT_SET_HERE"))
    assert error["error_class"] == "gated"
    assert "NOT_SET_HERE" in error["message"]
    assert fake_server.seen == []


def test_invalid_header_key_is_refused(talk: Callable[..., Any], fake_server: FakeServer) -> None:
    spoken = talk([load(fake_server, api_key_env="ODD")], env={"ODD": "abc\ndefghijk"})
    assert spoken.named("error")[0]["error_class"] == "gated"
    assert "defghijk" not in repr(spoken.events)


def test_redirect_is_not_followed(talk: Callable[..., Any], fake_server: FakeServer) -> None:
    with serving(FakeServer()) as other:
        fake_server.gets["/v1/models"] = (307, f"{other.url}/models?token=abc")
        error = refused(talk, load(fake_server))
        assert other.seen == []
    assert error["error_class"] == "network"
    assert f"{other.url}/models, which is not followed" in error["message"]


@pytest.mark.parametrize("listing", [(200, {"hello": 1}), (200, [{"id": "x"}, 3])])
def test_unexpected_response_is_reported(
    talk: Callable[..., Any], fake_server: FakeServer, listing: tuple[int, Any]
) -> None:
    fake_server.gets["/v1/models"] = listing
    expected = "protocol" if isinstance(listing[1], dict) else "not_found"
    assert refused(talk, load(fake_server))["error_class"] == expected


def test_non_http_response_is_reported(talk: Callable[..., Any]) -> None:
    from threading import Thread

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"SSH-2.0-hello\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=answer)
        thread.start()
        error = refused(talk, load(FakeServer(url=f"http://127.0.0.1:{listener.getsockname()[1]}")))
        thread.join()
    assert error["error_class"] == "protocol"


def test_load_out_of_memory_is_reported(talk: Callable[..., Any], fake_server: FakeServer) -> None:
    words = {"error": "model requires more system memory (5.6 GiB) than is available (3.2 GiB)"}
    fake_server.chat = lambda handler, body: handler.json(500, words)
    assert refused(talk, load(fake_server))["error_class"] == "out_of_memory"


def test_failed_text_only_probe_is_a_note(
    talk: Callable[..., Any], fake_server: FakeServer
) -> None:
    fake_server.chat = lambda handler, body: handler.json(500, {"error": "template wants an image"})
    (loaded,) = talk([load(fake_server)]).named("loaded")
    assert "refused a first question without an image" in loaded["notes"][1]


@pytest.mark.parametrize(
    ("status", "words", "error_class"),
    [
        (400, {"error": {"message": "This model does not support image input"}}, "unsupported"),
        (
            500,
            {"error": {"message": "image input is not supported - provide mmproj"}},
            "unsupported",
        ),
        (400, {"message": "At most 1 image(s) may be provided in one request."}, "unsupported"),
        (400, {"error": "maximum context length is 4096 tokens, got 9000"}, "too_long"),
        (413, {}, "too_long"),
        (
            500,
            {"error": {"message": "CUDA out of memory. Tried to allocate 2 GiB"}},
            "out_of_memory",
        ),
        (404, {"error": {"message": "model 'seeing-2b' not found"}}, "not_found"),
        (503, {"error": "busy"}, "network"),
        (500, {"detail": "Traceback: boom"}, "server_error"),
        (418, "<html>teapot</html>", "server_error"),
        (400, {"error": "failed to decode image"}, "bad_image"),
    ],
)
def test_refused_run_is_reported(
    talk: Callable[..., Any],
    fake_server: FakeServer,
    images: dict[str, str],
    status: int,
    words: Any,
    error_class: str,
) -> None:
    error = failed(talk, fake_server, lambda h, body: h.json(status, words), images["dot"])
    assert error["error_class"] == error_class
    assert error["message"].startswith(f"The server answered {status}: ")
    assert error["hint"]


def test_quoted_request_is_not_in_the_error(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    def quote(handler: Handler, body: dict[str, Any]) -> None:
        fault = {"loc": ["body", "max_tokens"], "msg": "too few", "input": body}
        handler.json(422, {"detail": [fault]})

    error = failed(talk, fake_server, quote, images["square"])
    assert error["message"] == "The server answered 422: body.max_tokens: too few"

    def shout(handler: Handler, body: dict[str, Any]) -> None:
        handler.json(400, {"error": {"message": "no: " + json.dumps(body)}})

    error = failed(talk, fake_server, shout, images["square"])
    assert "base64,…" in error["message"]
    assert len(error["message"]) < 700


def broken_midway(handler: Handler, body: dict[str, Any]) -> None:
    handler.start()
    handler.piece(event(chunk("Half of")))
    handler.hang_up()


def broken_in_a_line(handler: Handler, body: dict[str, Any]) -> None:
    handler.start()
    handler.piece(event(chunk("Half of")))
    handler.piece(b'data: {"choices": [{"del')
    handler.end()


def ends_without_an_end(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(chunk("Half of"))


def hangs_up_at_once(handler: Handler, body: dict[str, Any]) -> None:
    handler.hang_up()


@pytest.mark.parametrize(
    "chat", [broken_midway, broken_in_a_line, ends_without_an_end, hangs_up_at_once]
)
def test_truncated_response_is_reported(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str], chat: Chat
) -> None:
    error = failed(talk, fake_server, chat, images["dot"])
    assert error["error_class"] == "network"
    assert "closed the connection before its answer was complete" in error["message"]
    assert error["phase"] in ("prefill", "generate")


@pytest.mark.parametrize(
    ("value", "error_class"),
    [
        ({"error": {"message": "out of memory", "code": 500}}, "out_of_memory"),
        ({"object": "error", "message": "boom"}, "server_error"),
        (b'error: {"error": "boom"}\n\n', "server_error"),
        (b"data: nonsense\n\n", "protocol"),
        (b"data: [1]\n\n", "protocol"),
        ({"choices": [7]}, "protocol"),
        ({"something": "else"}, "protocol"),
        (b"data: " + b"x" * (2 << 20), "protocol"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "protocol"),
        (event(chunk("y" * 500_000)) * 3, "protocol"),
    ],
)
def test_malformed_event_in_an_answer_is_reported(
    talk: Callable[..., Any],
    fake_server: FakeServer,
    images: dict[str, str],
    value: Any,
    error_class: str,
) -> None:
    error = failed(talk, fake_server, lambda h, body: h.stream(chunk("Half"), value), images["dot"])
    assert error["error_class"] == error_class
    assert len(error["message"]) < 1000


def test_unreadable_image_is_reported(
    talk: Callable[..., Any], fake_server: FakeServer, tmp_path: Any
) -> None:
    (tmp_path / "x.png").write_bytes(b"GIF89a")
    error = failed(talk, fake_server, fine, str(tmp_path / "x.png"))
    assert error["error_class"] == "bad_image"

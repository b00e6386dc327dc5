"""A real worker process and a correct server: requests, answers and measurements."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load, Run, Stop, Turn
from schemas.generation import Generation
from tests.helpers.openai_server import (
    IMAGE,
    MODELS,
    TEXT,
    FakeServer,
    Handler,
    asked,
    chunk,
    event,
    image_urls,
    polite,
    serving,
    usage,
)

QUESTION = "What is this? été 世界"


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    with serving(FakeServer()) as fake_server:
        yield fake_server


def load(fake_server: FakeServer, **more: Any) -> Load:
    return Load(
        **{"model": "seeing-2b", "local": False, "engine": "openai", "url": fake_server.url} | more
    )


def run(number: int, *turns: Turn, **generation: Any) -> Run:
    return Run(run=number, turns=turns, generation=Generation(**generation))


def one(
    talk: Callable[..., Any], fake_server: FakeServer, image: str, **generation: Any
) -> dict[str, Any]:
    """Result of one question about one image."""
    turn = Turn(text=QUESTION, images=(image,))
    spoken = talk([load(fake_server), run(1, turn, **generation)])
    assert spoken.code == 0, spoken.events
    (last,) = [e for e in spoken.events if e["event"] in ("run_finished", "error")]
    return dict(last)


def test_image_request_is_answered(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    fake_server.gets["/version"] = (200, {"version": "9.8"})
    turn = Turn(text=QUESTION, images=(images["wide"],))
    spoken = talk([load(fake_server), run(4, turn), Stop()])
    kinds = [e["event"] for e in spoken.events if e["event"] not in ("heartbeat", "progress")]
    assert kinds == [
        "started", "loaded", "run_started", "first_token", "text", "run_finished", "worker_exiting",
    ]  # fmt: skip
    (loaded,) = spoken.named("loaded")
    facts = [loaded[name] for name in ("engine", "family", "device", "dtype", "device_bytes")]
    assert facts == ["openai", "server", "server", "unknown", None]
    assert loaded["versions"] == {"server": "testing/1.0", "vllm": "9.8"}
    assert loaded["notes"] == [f"served at {fake_server.url}"]
    (first,) = spoken.named("first_token")
    assert first["input_tokens"] is None
    (finished,) = spoken.named("run_finished")
    assert finished["raw_text"] == " A red circle.\n"
    assert finished["text"] == "A red circle."
    assert finished["finish_reason"] == "stop"
    counts = [finished[f"{name}_tokens"] for name in ("input", "image", "output")]
    assert counts == [TEXT + IMAGE, IMAGE, 7]
    assert finished["notes"] == []
    assert 0 <= finished["preprocess_s"] <= finished["ttft_s"] <= finished["latency_s"]
    assert finished["prompt_tps"] > 0
    assert finished["generation_tps"] > 0


def test_request_contains_the_prepared_pixels_and_settings(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    one(talk, fake_server, images["square"], max_new_tokens=33)
    warm, body, blind = fake_server.chats()
    assert (warm["max_tokens"], warm["messages"]) == (1, [{"role": "user", "content": "Hello"}])
    (url,) = image_urls(body)
    head, data = url.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == Path(images["square"]).read_bytes()
    assert body["messages"][0]["content"][1] == {"type": "text", "text": QUESTION}
    settings = {key: body[key] for key in body if key != "messages"}
    assert settings == {
        "model": "seeing-2b",
        "max_tokens": 33,
        "stream": True,
        "temperature": 0,
        "stream_options": {"include_usage": True},
    }
    assert blind["messages"][0]["content"] == [{"type": "text", "text": QUESTION}]


def test_sampling_settings_are_sent(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    settings = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "top_k": 5}
    finished = one(talk, fake_server, images["dot"], do_sample=True, **settings)
    body = fake_server.chats()[1]
    assert {name: body[name] for name in settings} == settings
    assert finished["notes"] == [
        "top_k sent, but no part of the protocol: the server may have ignored it"
    ]


def test_text_only_several_images_and_turns_are_sent(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    both = (images["wide"], images["dot"])
    spoken = talk(
        [
            load(fake_server),
            run(1, Turn(text="Hello")),
            run(2, Turn(text="Differ?", images=both)),
            run(3, Turn(text="What?", images=both), Turn(text="Sure?")),
        ]
    )
    counted = [(e["input_tokens"], e["image_tokens"]) for e in spoken.named("run_finished")]
    seen = (TEXT + 2 * IMAGE, 2 * IMAGE)
    assert counted == [(TEXT, 0), seen, seen]
    roles = [m["role"] for m in fake_server.chats()[-2]["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert fake_server.chats()[-2]["messages"][1]["content"] == "A red circle."
    assert len(spoken.named("first_token")) == 3


def test_text_only_probe_is_sent_once(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    turns = [Turn(text=QUESTION, images=(path,)) for path in images.values()]
    spoken = talk([load(fake_server), *(run(i, turn) for i, turn in enumerate(turns))])
    assert [e["image_tokens"] for e in spoken.named("run_finished")] == [IMAGE] * len(turns)
    assert len(fake_server.chats()) == 1 + len(turns) + 1


def test_reported_image_tokens_need_no_probe(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    counts = usage(90, 3, prompt_tokens_details={"image_tokens": 50})
    fake_server.chat = lambda handler, body: handler.stream(chunk("x", "stop"), counts, "[DONE]")
    assert one(talk, fake_server, images["dot"])["image_tokens"] == 50
    assert len(fake_server.chats()) == 2


def test_image_without_tokens_was_ignored(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    fake_server.chat = lambda handler, body: handler.stream(chunk("Nice.", "stop"), usage(TEXT, 2))
    error = one(talk, fake_server, images["dot"])
    assert error["error_class"] == "image_ignored"
    assert f"{TEXT} input tokens with 1 image(s), {TEXT} without" in error["message"]
    assert "vision" in error["hint"]


def test_server_without_usage_leaves_counts_unknown(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    fake_server.chat = lambda handler, body: handler.stream(
        chunk("A dot."), chunk(finish="stop"), "[DONE]"
    )
    finished = one(talk, fake_server, images["dot"])
    assert finished["text"] == "A dot."
    names = ("input_tokens", "image_tokens", "output_tokens", "prompt_tps", "generation_tps")
    assert [finished[name] for name in names] == [None] * 5
    assert len(fake_server.chats()) == 2


@pytest.mark.parametrize(
    ("finish", "reason", "note"),
    [
        ("length", "length", None),
        ("max_tokens", "length", None),
        ("content_filter", "stop", "the server ended the answer with 'content_filter'"),
        (None, "stop", "the server gave no reason for the end of the answer"),
    ],
)
def test_finish_reason_is_stored(
    talk: Callable[..., Any],
    fake_server: FakeServer,
    images: dict[str, str],
    finish: str | None,
    reason: str,
    note: str | None,
) -> None:
    fake_server.chat = asked(lambda handler, body: handler.stream(chunk("x", finish), "[DONE]"))
    finished = one(talk, fake_server, images["dot"])
    assert finished["finish_reason"] == reason
    assert finished["notes"] == ([note] if note else [])


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_separate_from_the_text(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str], key: str
) -> None:
    thoughts = [chunk(**{key: "Round. "}), chunk(**{key: "Red."})]
    output = [*thoughts, chunk("A circle."), chunk(finish="stop")]
    fake_server.chat = asked(lambda handler, body: handler.stream(*output, usage(80, 9), "[DONE]"))
    finished = one(talk, fake_server, images["dot"])
    assert finished["text"] == "A circle."
    assert finished["raw_text"] == "<think>Round. Red.</think>A circle."
    assert "between <think> and </think>" in finished["notes"][0]
    assert finished["transcript"][-1]["text"] == "A circle."


def test_server_without_streaming_is_supported(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    message = {"message": {"role": "assistant", "content": "All."}, "finish_reason": "stop"}
    whole = {"choices": [message], **usage(80, 2) | {"choices": [message]}}
    fake_server.chat = asked(lambda handler, body: handler.json(200, whole))
    finished = one(talk, fake_server, images["dot"])
    assert (finished["text"], finished["output_tokens"]) == ("All.", 2)
    assert finished["notes"] == ["the server did not stream: ttft_s is that of the whole answer"]


@pytest.mark.parametrize("words", [{"error": "unknown field stream_options"}, {"detail": "bad"}])
def test_server_that_refuses_stream_options_is_supported(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str], words: dict[str, str]
) -> None:
    def chat(handler: Handler, body: dict[str, Any]) -> None:
        if "stream_options" in body:
            handler.json(400, words)
        else:
            polite(handler, body)

    fake_server.chat = chat
    assert one(talk, fake_server, images["dot"])["text"] == "A red circle."
    assert ["stream_options" in body for body in fake_server.chats()] == [True, False, False, False]


def test_characters_and_lines_may_be_split_anywhere(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    pieces = [chunk("Une été "), chunk("世界 🎈", "stop"), usage(80, 5)]
    wire = b"\xef\xbb\xbf: hello\r\n\r\n" + b": still here\n\n".join(map(event, pieces))
    wire = wire.replace(b"\n\n", b"\r\n\r\n") + b"event: x\nid: 3\nretry: 9\n\n"

    def chat(handler: Handler, body: dict[str, Any]) -> None:
        handler.start()
        for i in range(len(wire)):
            handler.piece(wire[i : i + 1])
        handler.end()

    fake_server.chat = asked(chat)
    assert one(talk, fake_server, images["dot"])["text"] == "Une été 世界 🎈"


def test_api_key_is_sent_only_to_the_server(
    talk: Callable[..., Any], fake_server: FakeServer, images: dict[str, str]
) -> None:
    key = "opensesamenow"

    def echo(handler: Handler, body: dict[str, Any]) -> None:
        handler.json(500, {"error": {"message": f"bad {handler.headers['Authorization']}"}})

    fake_server.chat = asked(echo)
    ask = load(fake_server, api_key_env="MY_SERVER")
    turn = Turn(text="hi", images=(images["dot"],))
    spoken = talk([ask, run(1, turn)], env={"MY_SERVER": key})
    assert {headers.get("Authorization") for _, headers, _ in fake_server.seen} == {f"Bearer {key}"}
    (error,) = spoken.named("error")
    assert error["message"] == "The server answered 500: bad Bearer [secret]"
    assert key not in spoken.log + repr(spoken.events)


def test_proxy_is_not_used_for_localhost(talk: Callable[..., Any], fake_server: FakeServer) -> None:
    proxies = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    assert talk([load(fake_server)], env=proxies).code == 0


@pytest.mark.parametrize("name", ["tall", "tall:latest"])
def test_ollama_tag_is_optional(
    talk: Callable[..., Any], fake_server: FakeServer, name: str
) -> None:
    assert talk([load(fake_server, model=name)]).code == 0


@pytest.mark.parametrize(
    ("listing", "note"),
    [((404, {}), "no list of its models"), ((200, MODELS | {"data": []}), "is empty")],
)
def test_model_without_a_listing_is_used(
    talk: Callable[..., Any], fake_server: FakeServer, listing: tuple[int, Any], note: str
) -> None:
    fake_server.gets["/v1/models"] = listing
    (loaded,) = talk([load(fake_server, model="any")]).named("loaded")
    assert note in loaded["notes"][1]

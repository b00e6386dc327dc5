"""The stream's promises: whole lines, in order, readable by anyone."""

from __future__ import annotations

import io
import json
import os
import threading
from typing import Any

import pytest

from schemas.commands import Load, Run, Stop, Turn
from schemas.events import Progress, Text, WorkerExiting
from schemas.generation import Generation
from schemas.shared.redact import Redactor
from workers.error_classes import WorkerFailure
from workers.protocol import EventWriter, parse_command, read_commands


def written(*events: Any, **options: Any) -> list[dict[str, Any]]:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stream:
        writer = EventWriter(write, **options)
        for event in events:
            writer(event)
        os.close(write)
        return [json.loads(line) for line in stream]


def test_commands_round_trip() -> None:
    load = Load(model="a/b", local=False, processor={"do_image_splitting": False})
    run = Run(
        run=7,
        turns=(Turn(text="été \0 \n", images=("/a.png",)), Turn(text="and?")),
        generation=Generation(max_new_tokens=5, temperature=0.5),
    )
    from dataclasses import asdict

    lines = [json.dumps(asdict(each)).encode() + b"\n" for each in (load, run, Stop())]
    assert list(read_commands(io.BytesIO(b"\n" + b"".join(lines)))) == [load, run, Stop()]


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b'{"command": "dance"}', b'{"command": "load", "colour": 1}', b"\xff", b"7"],
)
def test_invalid_command_is_a_protocol_failure(line: bytes) -> None:
    with pytest.raises(WorkerFailure) as failure:
        parse_command(line)
    assert failure.value.error_class == "protocol"


def test_lines_are_ascii_and_encode_any_text() -> None:
    text = "NUL \0, line\n\u2028end, esc \x1b[31m, 世界 🦊, lone \ud800 surrogate"
    read, write = os.pipe()
    EventWriter(write)(Text(run=1, text=text, output_tokens=1))
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        data = stream.read()
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert json.loads(data)["text"].startswith(text.partition("\ud800")[0])
    json.loads(data)["text"].encode("utf-8")  # no lone surrogate is left to choke a database


def test_non_finite_numbers_become_null() -> None:
    event = Progress(phase="load", message="m", done=float("nan"), total=float("inf"))
    (line,) = written(event)
    assert line["done"] is None
    assert line["total"] is None


def test_each_line_has_a_number_and_time() -> None:
    times = iter([10.0, 10.5, 12.0])
    lines = written(WorkerExiting(runs=0), WorkerExiting(runs=1), clock=lambda: next(times))
    assert [(line["seq"], line["at_s"]) for line in lines] == [(1, 0.5), (2, 2.0)]


def test_lines_from_many_threads_are_not_interleaved() -> None:
    read, write = os.pipe()
    writer = EventWriter(write)
    text = "x" * 20_000  # more than the system writes to a pipe in one piece

    def flood(run: int) -> None:
        for number in range(50):
            writer(Text(run=run, text=text, output_tokens=number))

    threads = [threading.Thread(target=flood, args=(run,)) for run in range(4)]
    for thread in threads:
        thread.start()
    with os.fdopen(read, "rb") as stream:
        lines = [json.loads(stream.readline()) for _ in range(200)]
    for thread in threads:
        thread.join()
    os.close(write)
    assert [line["seq"] for line in lines] == list(range(1, 201))
    for run in range(4):
        mine = [line["output_tokens"] for line in lines if line["run"] == run]
        assert mine == list(range(50))


def test_secrets_never_reach_an_event() -> None:
    token = "hf_" + "a" * 30
    redact = Redactor({"MY_API_KEY": "s3cret-value", "TOKENIZERS_PARALLELISM": "parallel"})
    (line,) = written(
        Progress(phase="load", message=f"s3cret-value {token} parallel"), redact=redact
    )
    assert line["message"] == "[secret] [secret] parallel"

"""Bytes into events, whatever the bytes are."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.process import event_reader
from runner.process.event_reader import EndOfStream, InvalidLine, LineReader, decode
from schemas import events


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield LineReader(reader), writer
    os.close(reader)


def test_lines_are_complete_for_any_read_boundary(pipe) -> None:
    reader, writer = pipe
    os.write(writer, b"one\ntw")
    assert list(reader.read()) == [b"one"]
    os.write(writer, b"o\n\nthree")
    assert list(reader.read()) == [b"two", b""]
    os.close(writer)
    found = list(reader.read())
    assert isinstance(found[0], InvalidLine)
    assert found[0].reason == "torn last line"
    assert isinstance(found[1], EndOfStream)


def test_no_input_gives_no_event(pipe) -> None:
    reader, writer = pipe
    assert list(reader.read()) == []
    os.close(writer)


def test_oversized_line_is_dropped_and_the_next_one_read(pipe, monkeypatch) -> None:
    monkeypatch.setattr(event_reader, "MAX_LINE", 1000)
    reader, writer = pipe
    found: list[object] = []
    for _ in range(40):
        os.write(writer, b"x" * 500)
        found += reader.read()
        assert len(reader.partial) <= 1000
    os.write(writer, b"end\nnext\n")
    found += reader.read()
    os.close(writer)
    assert [type(x) for x in found] == [InvalidLine, bytes]
    assert found[1] == b"next"


def test_known_event_round_trips() -> None:
    event = decode(b'{"event": "text", "run": 3, "text": "a", "output_tokens": 2, "seq": 9}')
    assert event == events.Text(run=3, text="a", output_tokens=2)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b'{"event": "nothing"}',
        b'{"event": "text"}',
        b'{"event": "text", "run": "x", "text": 1, "output_tokens": 1}',
        b"[" * 100_000,
        b'{"event": "text", "run": 1, "text": "\\ud800", "output_tokens": 1',
    ],
)
def test_invalid_line_is_garbage(line: bytes) -> None:
    assert isinstance(decode(line), InvalidLine)


FINISHED = (
    b'{"event": "run_finished", "run": 1, "raw_text": "a", "text": "a", "finish_reason": "stop",'
    b' "latency_s": 1, "preprocess_s": 0, "notes": [], %s}'
)
NO_COUNTS = [str(2**63), str(2**53), str(-(2**70)), "-1", "1e999", "7.5", "NaN", "Infinity"]
NO_COUNTS += ['"7"', f'"{"7" * 30}"', "7" * 5000, "true", "[7]", "{}"]
NO_FIGURES = [str(2**70), "7" * 5000, "NaN", "-Infinity", "1e999", '"0.5"', "false", "[]"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, no) for name in ("input_tokens", "output_tokens") for no in NO_COUNTS),
        *(("ttft_s", no) for no in NO_FIGURES),
        ("peak_device_bytes", "-5"),
    ],
)
def test_answer_with_an_impossible_figure_is_kept(name: str, value: str) -> None:
    event = decode(FINISHED % f'"{name}": {value}, "image_tokens": 3'.encode())
    assert isinstance(event, events.RunFinished)
    assert (event.text, event.image_tokens, getattr(event, name)) == ("a", 3, None)
    assert event.notes == [f"the worker sent no possible number for {name}: unknown"]


@pytest.mark.parametrize("value", ["0", "76", "76.0", str(2**53 - 1), "null"])
def test_possible_counts_are_kept(value: str) -> None:
    event = decode(FINISHED % f'"input_tokens": {value}'.encode())
    assert isinstance(event, events.RunFinished)
    expected = None if value == "null" else int(float(value))
    assert (event.input_tokens, event.notes) == (expected, [])


def test_impossible_figure_of_an_event_without_notes_is_noted() -> None:
    notes: list[str] = []
    line = b'{"event": "text", "run": 3, "text": "a", "output_tokens": %d}' % 2**70
    assert decode(line, notes.append) == events.Text(run=3, text="a")
    assert notes == ["the worker sent no possible number for output_tokens: unknown"]


@pytest.mark.parametrize("value", [str(2**63), "7" * 5000, "NaN", "1e999", f'"{"7" * 30}"'])
def test_impossible_number_that_an_event_needs_makes_it_invalid(value: str) -> None:
    for line in ('{"event": "text", "text": "a", "run": %s}', '{"event": "error", "run": %s}'):
        assert isinstance(decode((line % value).encode()), InvalidLine)


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_do_not_raise(line: bytes) -> None:
    decode(line)

"""Reference files: every format, and the messages about invalid ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.errors import SweepFileError
from runner.scoring.reference_file import ReferenceAnswer, read
from tests.helpers.paths import ROOT

IMAGES = ROOT / "images"


def read_answers(folder: Path, name: str, text: str) -> list[ReferenceAnswer]:
    (folder / name).write_text(text, encoding="utf-8")
    return read(folder / name)


def complaint(folder: Path, name: str, text: str) -> str:
    with pytest.raises(SweepFileError) as caught:
        read_answers(folder, name, text)
    assert caught.value.exit_code == 2
    return f"{caught.value.message} / {caught.value.hint}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "image,prompt,answer\na.png,colour,red\n"),
        ("a.csv", '\ufefffile,question,answers,note\r\na.png,colour,"[""red""]",x\r\n'),
        ("a.tsv", "path\tprompt\tanswer\na.png\tcolour\tred\n"),
        ("a.jsonl", '\n{"image": "a.png", "prompt": "colour", "answer": "red"}\n\n'),
        ("a.json", '[{"image": ["a.png"], "prompt": "colour", "answers": ["red"]}]'),
        ("a.json", '{"images": [{"file": "a.png", "width": 3, "answers": {"colour": " red "}}]}'),
        ("a.json", '{"a.png": {"colour": [{"answer": "red", "answer_id": 1}]}}'),
    ],
)
def test_every_file_format_is_equivalent(tmp_path: Path, name: str, text: str) -> None:
    (one,) = read_answers(tmp_path, name, text)
    assert (one.images, one.prompt, one.accepted) == (("a.png",), "colour", ("red",))


def test_demo_manifest_is_a_reference_file() -> None:
    found = read(IMAGES / "manifest.json")
    assert len(found) == 8 * 5
    assert found[0].where == "images[0]"
    assert found[0].images == ("circle.png",)
    assert len(found[0].sha256 or "") == 64


def test_numbers_are_answers_and_empty_cells_are_none(tmp_path: Path) -> None:
    rows = [
        {"image": "a.png", "answers": [2, "two", 2.5]},
        {"image": "b.png", "answer": None},
        {"image": "c.png", "answers": []},
        {"prompt": "How many?", "answer": ""},
    ]
    (one,) = read_answers(tmp_path, "a.json", json.dumps(rows))
    assert one.accepted == ("2", "two", "2.5")
    assert one.prompt is None


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "x", "neither .csv, .tsv, .jsonl nor .json"),
        ("a.csv", "", "holds no answers"),
        ("a.csv", "image,prompt,answer\n", "holds no answers"),
        ("a.csv", "image,promt,answer\na,b,c\n", "unknown column 'promt', did you mean prompt?"),
        ("a.csv", "image,anwsers\na,b\n", "did you mean answers?"),
        ("a.csv", "image,label\na,b\n", "no column answer or answers; there are image, label"),
        ("a.csv", "id,answer\n1,b\n", "no column image, sha256 or prompt; there are id, answer"),
        ("a.csv", "image,answer\na.png,red, blue\n", "line 2: more cells than columns"),
        ("a.csv", 'image,answer\na.png,"red\n', "unexpected end of data"),
        ("a.jsonl", '{"image": "a"}\n{oops}\n', "line 2 is not valid JSON"),
        ("a.jsonl", "[1]\n", "line 1: should be a mapping, not [1]"),
        ("a.json", "3", "holds neither a list nor a mapping"),
        ("a.json", '[{"image": "a", "answer": true}]', "[0]: should be text or a list of texts"),
        ("a.json", '[{"answer": "x", "prompt": ""}]', "[0]: names neither an image nor a prompt"),
        ("a.json", '[{"prompt": 3, "answer": "x"}]', "prompt should be text, not 3"),
        ("a.json", '[{"image": "a", "prompt": "p", "answers": {"p": "x"}}]', "give one of them"),
    ],
)
def test_invalid_reference_files_are_reported(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    assert says in complaint(tmp_path, name, text)


def test_all_problems_are_reported_at_once_up_to_a_limit(tmp_path: Path) -> None:
    message = complaint(tmp_path, "a.json", json.dumps([{"image": "a", "answer": True}] * 30))
    assert "30 problems" in message
    assert message.count("should be text") == 20
    assert "and 10 more" in message


def test_unreadable_reference_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text("image,answer\n")
    with pytest.raises(SweepFileError, match="no such file") as caught:
        read(tmp_path / "anwsers.csv")
    assert caught.value.hint == "did you mean answers.csv?"
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SweepFileError, match="not UTF-8"):
        read(tmp_path / "b.csv")


def test_messages_have_no_control_characters(tmp_path: Path) -> None:
    rows = [{"image": "\x1b[31mred", "answer": {"\x1b]0;": True}}]
    assert "\x1b" not in complaint(tmp_path, "a.json", json.dumps(rows))
    assert "\x1b" not in complaint(tmp_path, "a.csv", "image,\x1b[31mlabel\na,b\n")

"""Content, characters and counts in the forms that servers send."""

from __future__ import annotations

import random
from typing import Any

import pytest

from schemas.shared.counts import LARGEST_COUNT, read_count
from workers.engines.openai.character_joiner import CharacterJoiner
from workers.engines.openai.content import Content, read_content
from workers.engines.openai.usage import Usage, read_usage

THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (None, Content()),
        ("a", Content(text="a")),
        ([], Content()),
        (["a", {"type": "text", "text": "b"}, None], Content(text="ab")),
        ({"type": "output_text", "text": "a"}, Content(text="a")),
        ({"text": "a"}, Content(text="a")),
        ({"type": "text", "text": {"value": "a", "annotations": []}}, Content(text="a")),
        ({"type": "text", "text": None}, Content()),
        ([THINKING, "a"], Content(text="a", reasoning="Hm.")),
        ({"type": "reasoning", "text": "Hm."}, Content(reasoning="Hm.")),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
         Content(reasoning="Hm.")),
        ([{"type": "refusal", "refusal": "No."}], Content(refusal="No.")),
    ],
)  # fmt: skip
def test_every_form_of_content_is_read(value: Any, content: Content) -> None:
    assert read_content(value) == content


@pytest.mark.parametrize(
    "value",
    [42, True, {"blob": 1}, [["a"]], [42], {"type": "text", "text": 42}, {"type": "output_audio"}],
)
def test_unknown_content_form_is_reported_with_its_start(value: Any) -> None:
    with pytest.raises(ValueError, match="unknown content: "):
        read_content(value)


TEXT = "Une été 世界 😀💯 \U0010ffff ok"


def test_split_bytes_are_joined() -> None:
    data = TEXT.encode()
    for seed in range(50):
        cuts = sorted(random.Random(seed).sample(range(len(data)), 6))
        parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        joiner = CharacterJoiner()
        pieces = [joiner.add(part.decode("utf-8", "surrogateescape")) for part in parts]
        assert "".join(pieces) + joiner.rest() == TEXT


def test_surrogate_halves_are_joined() -> None:
    units = TEXT.encode("utf-16-le")
    halves = [
        units[i : i + 2].decode("utf-16-le", "surrogatepass") for i in range(0, len(units), 2)
    ]
    joiner = CharacterJoiner()
    assert "".join(map(joiner.add, halves)) + joiner.rest() == TEXT


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\ud83d"], "a\ufffd"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["a\ude00b"], "a\ufffdb"),
        (["a\udcff b"], "a\ufffd b"),
        (["a\udcf0\udc9f"], "a\ufffd"),
        (["a\udcf0\udc9f", "b"], "a\ufffdb"),
        (["a\ud83d\ud83d\ude00"], "a\ufffd😀"),
    ],
)
def test_incomplete_character_is_replaced_once(pieces: list[str], text: str) -> None:
    joiner = CharacterJoiner()
    assert "".join(map(joiner.add, pieces)) + joiner.rest() == text


@pytest.mark.parametrize(
    ("value", "count"),
    [(0, 0), (76, 76), (76.0, 76), (LARGEST_COUNT, LARGEST_COUNT), (LARGEST_COUNT + 1, None)]
    + [(odd, None) for odd in (-1, 76.5, True, "76", None, [], float("nan"), float("inf"), 1e30)],
)
def test_usage_counts_are_read(value: Any, count: int | None) -> None:
    assert read_count(value) == count


def test_usage_with_odd_counts_is_named() -> None:
    assert read_usage({"prompt_tokens": 7, "completion_tokens": 2}) == Usage(
        input_tokens=7, output_tokens=2
    )
    odd = read_usage({"prompt_tokens": 2**70, "prompt_tokens_details": {"image_tokens": 5}})
    assert odd == Usage(image_tokens=5, odd=True)
    assert read_usage([7]) is None

"""Cleaning and decoding."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from workers.detokenize import StreamDecoder, TextCleaner, special_tokens


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" A cat.<end_of_utterance>", "A cat."),
        ("<|im_start|>A\n\n  b\tc <|im_end|><|im_end|>", "A\n\nb c"),
        ("Assistant: yes<|im_end|>", "yes"),
        ("yes\nAssistant:<|im_end|>", "yes"),
        ("The Assistant: a book", "The Assistant: a book"),
        ("a <b> c", "a <b> c"),
        ("<|im_end|>", ""),
        ("", ""),
    ],
)
def test_clean_removes_special_tokens(raw: str, text: str) -> None:
    cleaner = TextCleaner(["<|im_start|>", "<|im_end|>", "<end_of_utterance>", ""], ["Assistant:"])
    assert cleaner.clean(raw) == text


def test_role_marker_tokens_are_removed() -> None:
    cleaner = TextCleaner(["<|im_start|>", "<|im_end|>"], ["<|im_start|>assistant\n"])
    assert cleaner.clean("<|im_start|>assistant\nyes") == "yes"
    assert cleaner.clean("assistant") == "assistant"


def test_visible_text_is_detected() -> None:
    cleaner = TextCleaner(["<end>"])
    assert cleaner.visible(" a")
    assert not cleaner.visible(" <end>\n")
    assert TextCleaner([]).visible("<end>")


def test_special_tokens_come_from_the_tokenizer() -> None:
    class Added(str):
        special = True

    class Word(str):
        special = False

    tokenizer = SimpleNamespace(
        all_special_tokens=["</s>"], added_tokens_decoder={5: Added("<image>"), 6: Word("hello")}
    )
    assert special_tokens(tokenizer) == {"</s>", "<image>"}


def decode(ids: Sequence[int]) -> str:
    """Byte-level, as most tokenizers are."""
    return bytes(ids).decode("utf-8", "replace")


def spaced(ids: Sequence[int]) -> str:
    """Words that each carry a space, the first of them stripped, as sentencepiece does."""
    return "".join(f" w{number}" for number in ids)[1:]


@pytest.mark.parametrize("data", ["abc 世界 🦊 été " * 40, "", "🦊", "a" * 200])
def test_pieces_join_to_the_text_without_split_characters(data: str) -> None:
    decoder = StreamDecoder(decode)
    pieces = [decoder.add(byte) for byte in data.encode()]
    assert "".join(pieces) + decoder.rest() == data
    assert "\ufffd" not in "".join(pieces)


def test_incomplete_bytes_are_not_lost() -> None:
    ids = list(b"ab\xe4\xb8" + b"c\xff\xfe" * 30 + b"\xe4")
    decoder = StreamDecoder(decode)
    pieces = [decoder.add(byte) for byte in ids]
    assert "".join(pieces) + decoder.rest() == decode(ids)


def test_leading_spaces_are_kept() -> None:
    decoder = StreamDecoder(spaced)
    ids = list(range(300))
    assert "".join(decoder.add(each) for each in ids) + decoder.rest() == spaced(ids)


def test_token_cost_is_bounded_by_the_window() -> None:
    longest = 0

    def watched(ids: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(ids))
        return spaced(ids)

    decoder = StreamDecoder(watched)
    for each in range(1000):
        decoder.add(each)
    assert longest <= 100

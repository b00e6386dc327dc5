"""VQA accuracy against the published evaluation: its formula by hand, its normalisation by case.

The expected normal forms are what the evaluation program of visualqa.org (GT-Vision-Lab/VQA,
vqaEval.py: processPunctuation, then processDigitArticle) gave for these answers when it was run
and compared with this one; over 4000 random sets of ten answers both gave the same accuracies.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.scoring.metrics.vqa import accuracy
from runner.scoring.normalize import CONTRACTIONS, normalize_vqa


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("Yes", "yes"),
        ("A dog.", "dog"),
        ("the two dogs", "2 dogs"),
        ("none", "0"),
        ("ten", "10"),
        ("eleven", "eleven"),
        ("dont know", "don't know"),
        ("it isnt", "it isn't"),
        ("couldntve", "couldntve"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("theyre", "they're"),
        ("its well", "its well"),
        ("girl's", "girl's"),
        ("2:50 pm", "2:50 pm"),
        ("100,978", "100978"),
        ("3.5", "3.5"),
        (".5", ".5"),
        ("U.S.A.", "usa"),
        ("red, white", "red white"),
        ("red,blue", "red blue"),
        ("white/black", "white black"),
        ("(left)", "left"),
        ('"stop"', "stop"),
        ("left-right", "left right"),
        ("what?", "what"),
        ("50%", "50%"),
        ("$5", "$5"),
        ("", ""),
    ],
)
def test_normal_forms_match_the_reference(answer: str, form: str) -> None:
    assert normalize_vqa(answer) == form


def test_typographic_apostrophes_are_normalised() -> None:
    assert normalize_vqa("don’t") == normalize_vqa("dont") == "don't"


def test_contractions_do_not_change_other_words() -> None:
    words = {"its", "well", "were", "ill", "id", "hell", "shell", "wed", "shed", "lets"}
    assert not words & set(CONTRACTIONS)


@given(st.text(max_size=30))
def test_normalisation_is_idempotent(answer: str) -> None:
    once = normalize_vqa(answer)
    assert once == " ".join(once.split())
    assert accuracy(answer, [answer] * 10) == 1


def test_vqa_accuracy_matches_a_hand_calculation() -> None:
    """Ten people: red 3, dark red 2, maroon 1, brown 4 (one of them with an article)."""
    people = ["red"] * 3 + ["Dark red."] * 2 + ["maroon"] + ["brown"] * 3 + ["a brown"]
    # red: left out thrice it has 2 of 9, min(2/3, 1); else 3 of 9, so 1: (3 * 2/3 + 7) / 10
    assert accuracy("red", people) == pytest.approx(0.9)
    # dark red: (2 * 1/3 + 8 * 2/3) / 10
    assert accuracy("dark red", people) == pytest.approx(0.6)
    # maroon: (1 * 0 + 9 * 1/3) / 10
    assert accuracy("maroon", people) == pytest.approx(0.3)
    # brown: left out it still has 3 of 9
    assert accuracy("Brown!", people) == 1
    assert accuracy("blue", people) == 0

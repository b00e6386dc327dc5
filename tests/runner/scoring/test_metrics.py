"""The metrics by hand, and the interval against published values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.scoring import anls
from runner.scoring.confidence import interval
from runner.scoring.metrics import default_metrics, score
from runner.scoring.normalize import normalize


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("Red", True),
        (" red. ", True),
        ("RED", True),
        ("ｒｅｄ", True),
        ("red ..", False),
        ("a red", False),
        ("", False),
        ("Light\n red", True),
    ],
)
def test_exact_is_kind_to_how_a_text_is_set(said: str, right: bool) -> None:
    (one,) = score(said, ["red", "light red"], ["exact"])
    assert one.value == right
    assert one.expected == ("light red" if "L" in said else "red")


@pytest.mark.parametrize(
    ("said", "accepted", "right"),
    [
        ("It is red", "red", True),
        ("There are two of them.", "2", True),
        ("There are 12", "2", False),
        ("hundred", "red", False),
        ("The dog's.", "dog's", True),
        ("it is the", "the", False),  # nothing is left of such an answer
        ("(left-hand) side", "left hand", True),
        ("C++ code", "c++", True),
    ],
)
def test_contains_looks_for_whole_words(said: str, accepted: str, right: bool) -> None:
    assert score(said, [accepted], ["contains"])[0].value == right


@pytest.mark.parametrize(
    ("said", "accepted", "value"),
    [
        # Distances counted by hand over the longer length; below 0.5 it is 1 - NL.
        ("kitten", ["sitting"], 1 - 3 / 7),
        ("Coca cola", ["coca-cola", "pepsi"], 1 - 1 / 9),
        ("abcd", ["abxy"], 0.0),  # 2 of 4: NL is 0.5, which the papers' threshold refuses
        ("abcde", ["abcxy"], 0.6),  # 2 of 5
        ("STOP", ["stop"], 1.0),
        ("a  b", ["a b"], 1.0),
        ("ab", ["a b"], 1 - 1 / 3),
        ("", ["stop"], 0.0),
        ("stop" * 30, ["stop"], 0.0),
    ],
)
def test_anls_by_hand(said: str, accepted: list[str], value: float) -> None:
    assert anls.best_match(said, accepted)[0] == pytest.approx(value)


@given(st.text(max_size=12), st.text(max_size=12))
def test_anls_is_a_similarity(one: str, other: str) -> None:
    value = anls.similarity(one, other)
    assert value == anls.similarity(other, one)
    assert value == 0 or 0.5 < value <= 1
    assert anls.similarity(one, one) == 1


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing_that_counts(text: str) -> None:
    assert normalize(text.upper().upper()) == normalize(text.upper())


def test_what_is_sensible_goes_by_the_answers() -> None:
    assert default_metrics([["a"], ["b"] * 10]) == ["exact", "contains", "anls"]
    assert default_metrics([["a"] * 10]) == ["vqa", "exact", "contains", "anls"]
    assert [one.metric for one in score("a", ["a"], ["vqa", "exact"])] == ["exact"]
    assert score("a", ["a", "b"] + ["c"] * 8, ["vqa"])[0].expected == "c"


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I: method 3, without correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval(right: int, n: int, low: float, high: float) -> None:
    found = interval(right / n, n)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_an_interval_holds_its_mean_and_no_more_than_all(mean: float, n: int) -> None:
    found = interval(mean, n)
    assert found is not None
    assert 0 <= found.low <= mean + 1e-9
    assert mean - 1e-9 <= found.high <= 1
    assert interval(mean, 0) is None

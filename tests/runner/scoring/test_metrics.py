"""The metrics by hand, and the interval against published values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import VlmsweepError
from runner.scoring import metrics
from runner.scoring.confidence import interval
from runner.scoring.metric import Metric
from runner.scoring.metrics import anls, default_metrics, score_answer
from runner.scoring.normalize import normalize


@pytest.mark.parametrize(
    ("text", "right"),
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
def test_exact_ignores_formatting(text: str, right: bool) -> None:
    (one,) = score_answer(text, ["red", "light red"], ["exact"])
    assert one.value == right
    assert one.expected == ("light red" if "L" in text else "red")


@pytest.mark.parametrize(
    ("text", "accepted", "right"),
    [
        ("It is red", "red", True),
        ("There are two of them.", "2", True),
        ("There are 12", "2", False),
        ("hundred", "red", False),
        ("The dog's.", "dog's", True),
        ("it is the", "the", True),  # only VQA accuracy drops articles
        ("the red one", "a red one", False),
        ("(left-hand) side", "left hand", True),
        ("C++ code", "c++", True),
    ],
)
def test_contains_matches_whole_words(text: str, accepted: str, right: bool) -> None:
    assert score_answer(text, [accepted], ["contains"])[0].value == right


@pytest.mark.parametrize("letter", ["A", "B", "I"])
@pytest.mark.parametrize(
    ("text", "contains", "exact"),
    [
        ("{}", 1, 1),
        ("({})", 1, 1),
        (" **{}.**\n", 1, 1),
        ("{}. Red", 1, 0),
        ("({}) Red", 1, 0),
        ("{}: Red", 1, 0),
        ("The answer is {}.", 1, 0),
        ("The answer is {}", 1, 0),
        ("{} is right.", 1, 0),
        ("None of them", 0, 0),
        ("", 0, 0),
        ("C", 0, 0),
        ("{}-frame", 0, 0),
    ],
)
def test_letters_of_multiple_choice(letter: str, text: str, contains: int, exact: int) -> None:
    for answer in (text.format(letter), text.format(letter.lower())):
        for accepted in (letter, f"({letter})", letter.lower()):
            scores = score_answer(answer, [accepted], ["contains", "exact"])
            assert [score.value for score in scores] == [contains, exact], (answer, accepted)


@pytest.mark.parametrize(
    ("text", "accepted", "right"),
    [
        ("A red car", "A", 0),
        ("It shows a red car. A dog is beside it.", "A", 0),
        ("The answer is A because it is red", "A", 1),
        ("I think it is B", "I", 0),
        ("I'm sure: C", "I", 0),
        ("The dog's", "S", 0),
        ("A red car, so the answer is (B).", "B", 1),
        ("A red car, so the answer is (B).", "A", 0),
    ],
)
def test_article_is_not_a_choice_letter(text: str, accepted: str, right: int) -> None:
    assert score_answer(text, [accepted], ["contains"])[0].value == right


@pytest.mark.parametrize(
    ("text", "accepted", "value"),
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
def test_anls_matches_a_hand_calculation(text: str, accepted: list[str], value: float) -> None:
    assert anls.best_match(text, accepted)[0] == pytest.approx(value)


@given(st.text(max_size=12), st.text(max_size=12))
def test_anls_is_a_similarity(one: str, other: str) -> None:
    value = anls.similarity(one, other)
    assert value == anls.similarity(other, one)
    assert value == 0 or 0.5 < value <= 1
    assert anls.similarity(one, one) == 1


@given(st.text(max_size=20))
def test_folding_is_idempotent(text: str) -> None:
    assert normalize(text.upper().upper()) == normalize(text.upper())


def test_default_metric_depends_on_the_answers() -> None:
    assert default_metrics([["a"], ["b"] * 10]) == ["exact", "contains", "anls"]
    assert default_metrics([["a"] * 10]) == ["vqa", "exact", "contains", "anls"]
    assert [one.metric for one in score_answer("a", ["a"], ["vqa", "exact"])] == ["exact"]
    assert score_answer("a", ["a", "b"] + ["c"] * 8, ["vqa"])[0].expected == "c"


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
def test_wilson_interval_matches_known_values(right: int, n: int, low: float, high: float) -> None:
    found = interval(right / n, n)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_interval_contains_its_mean_and_stays_in_range(mean: float, n: int) -> None:
    found = interval(mean, n)
    assert found is not None
    assert 0 <= found.low <= mean + 1e-9
    assert mean - 1e-9 <= found.high <= 1
    assert interval(mean, 0) is None


class FirstWord(Metric):
    name = "first_word"
    description = "an answer whose first word is an accepted answer"

    def score(self, answer: str, accepted: Sequence[str]) -> tuple[float, str]:
        first = answer.split()[:1]
        return float(first in [[one] for one in accepted]), accepted[0]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Registers a class of this module as an installed package's metric."""

    def install(name: str) -> None:
        point = EntryPoint("first_word", f"{__name__}:{name}", metrics.ENTRY_POINTS)
        monkeypatch.setattr(metrics, "entry_points", lambda group: [point])
        metrics.known_metrics.cache_clear()

    yield install
    monkeypatch.undo()
    metrics.known_metrics.cache_clear()


def test_installed_metric_is_found_and_scores(installed: Callable[[str], None]) -> None:
    installed("FirstWord")
    assert list(metrics.known_metrics()) == ["vqa", "exact", "contains", "anls", "first_word"]
    (result,) = score_answer("red it is", ["red"], ["first_word"])
    assert (result.metric, result.value) == ("first_word", 1)
    assert "first_word" not in default_metrics([["red"]]), "it is used where a sweep names it"


def test_unusable_metric_is_refused(installed: Callable[[str], None]) -> None:
    installed("NoSuchClass")
    with pytest.raises(VlmsweepError, match="'first_word' cannot be imported"):
        metrics.known_metrics()
    installed("EntryPoint")
    with pytest.raises(VlmsweepError, match="is not a subclass of Metric"):
        metrics.known_metrics()


def test_missing_metric_gives_no_score() -> None:
    assert [one.metric for one in score_answer("a", ["a"], ["gone", "exact"])] == ["exact"]

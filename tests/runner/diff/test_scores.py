"""Scores in a comparison: paired by question, with intervals, and when a drop is a regression."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.database import score_writer
from runner.database.store import Store
from runner.scoring.paired_test import STEPS, difference_interval, p_value

from .test_comparison import OK, diff, held, ran

Queued = Callable[..., int]


def scored(store: Store, queued: Queued, answers: Sequence[str], repeats: int = 1) -> int:
    """A sweep whose jobs gave these answers; `yes` is right."""
    prompts = [f"question {number}" for number in range(len(answers) // repeats)]
    sweep = queued(["good"], prompts, repeats=repeats)
    jobs = store.connection.execute("SELECT id FROM jobs WHERE sweep_id = ?", [sweep]).fetchall()
    for (job,) in jobs:
        score_writer.store_reference(store.connection, job, ["yes"], ["exact"])
    ran(store, sweep, [OK | {"text": text} for text in answers])
    for (run,) in store.connection.execute("SELECT id FROM runs").fetchall():
        score_writer.score_run(store.connection, run)
    return sweep


def test_significant_drop_is_a_regression(store: Store, queued: Queued) -> None:
    scored(store, queued, ["yes"] * 48)
    scored(store, queued, ["yes"] * 42 + ["no"] * 6)
    found = held(store)
    (score,) = found.models[0].scores
    assert (score.metric, score.questions, score.a, score.b) == ("exact", 48, 1.0, 0.875)
    assert (score.better, score.worse) == (0, 6)
    assert score.p_value == pytest.approx(2 / 2**6)
    assert score.difference == pytest.approx(-0.125)
    assert score.low < -0.125 < score.high < 0
    (reason,) = found.reasons
    assert (reason.kind, reason.figure, reason.a, reason.b) == ("lower_score", "exact", 1.0, 0.875)
    shown = diff(store, "1", "2")
    assert shown.exit_code == 1
    assert "good: exact from 100% to 87.5% (-24.7 to -2.5 points, p 0.031)" in shown.stdout
    page = diff(store, "1", "2", "--markdown")
    assert page.exit_code == 1
    assert "### vlmsweep: regression" in page.stdout
    assert "| good | exact | 48 | 100% (93–100) | 87.5% (75–94) |" in page.stdout
    whole = json.loads(diff(store, "1", "2", "--json").stdout)
    assert whole["models"][0]["scores"][0]["worse"] == 6
    assert whole["reasons"][0]["p_value"] == pytest.approx(0.03125)
    assert diff(store, "2", "1").exit_code == 0


def test_drop_within_chance_is_shown_but_no_regression(store: Store, queued: Queued) -> None:
    scored(store, queued, ["yes"] * 8)
    scored(store, queued, ["yes"] * 7 + ["no"])
    shown = diff(store, "1", "2")
    assert shown.exit_code == 0
    assert "87.5%" in shown.stdout
    assert "may be chance" in shown.stdout
    assert shown.stdout.endswith("No regression\n")
    assert "87.5%" in diff(store, "1", "2", "--md").stdout
    assert (
        json.loads(diff(store, "1", "2", "--json").stdout)["models"][0]["scores"][0]["b"] == 0.875
    )


def test_repeats_of_a_question_are_counted_once(store: Store, queued: Queued) -> None:
    scored(store, queued, ["yes"] * 10, repeats=5)
    scored(store, queued, ["yes"] * 5 + ["no"] * 5, repeats=5)
    (score,) = held(store).models[0].scores
    assert (score.questions, score.worse, score.p_value) == (2, 1, 1.0)


def test_without_scores_there_is_no_table(store: Store, queued: Queued) -> None:
    ran(store, queued(["good"], ["a"]), [OK])
    ran(store, queued(["good"], ["a"]), [OK])
    assert "Scores" not in diff(store, "1", "2").stdout


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    # McNemar's exact test: twice the binomial tail, by hand.
    [(0, 5, 2 / 32), (0, 6, 2 / 64), (1, 7, 2 * 9 / 256), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_mcnemars_exact_test(better: int, worse: int, p: float) -> None:
    assert p_value([1.0] * better + [-1.0] * worse + [0.0] * 20) == pytest.approx(p)


def test_many_pairs_use_the_normal_distribution() -> None:
    exact = p_value([1.0] * 450 + [-1.0] * 520)
    assert exact == pytest.approx(p_value([1.0] * 450 + [-1.0] * 520 + [0.001]), abs=0.01)
    assert p_value([1.0] * 900 + [-1.0] * 1100) == pytest.approx(7.7e-6, rel=0.01)


def test_newcombes_interval() -> None:
    # Statistics in Medicine 17 (1998) 2635, method 10: e, f, g, h = 36, 12, 2, 0 of 50.
    a = [1.0] * 36 + [1.0] * 12 + [0.0] * 2
    b = [1.0] * 36 + [0.0] * 12 + [1.0] * 2
    found = difference_interval(a, b)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((-0.3404, -0.0569), abs=0.00005)
    assert difference_interval([], []) is None


SCORES = st.floats(0, 1)
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=40)


@given(PAIRS)
def test_interval_contains_the_difference(pairs: list[tuple[float, float]]) -> None:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = difference_interval(a, b)
    assert found is not None
    difference = sum(b) / len(b) - sum(a) / len(a)
    assert -1 <= found.low <= difference + 1e-9
    assert difference - 1e-9 <= found.high <= 1


@given(PAIRS)
def test_p_value_is_a_probability(pairs: list[tuple[float, float]]) -> None:
    # The limit on the sums is low, for speed: 40 pairs may have tens of thousands.
    assert 0 <= p_value([b - a for a, b in pairs], most_sums=500) <= 1


@given(st.lists(st.integers(-STEPS, STEPS), max_size=8))
def test_p_value_is_the_share_of_sign_flips_that_differ_as_much(steps: list[int]) -> None:
    flips = [
        abs(sum(sign * step for sign, step in zip(signs, steps, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(steps))
    ]
    share = sum(flip >= abs(sum(steps)) for flip in flips) / len(flips)
    assert p_value([step / STEPS for step in steps]) == pytest.approx(share)

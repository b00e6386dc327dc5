"""Sampled repeats: each has a seed of its own, which is stored and used again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from runner.bug_report import run_record
from runner.database.reader import Reader
from runner.database.store import Store
from runner.planning.seeds import derive_seed
from runner.supervisor.supervisor import Supervisor
from tests.helpers.openai_manners import PNG, Expected, Manner, serving
from tests.helpers.openai_manners.manner import STOP, Behave, delta
from tests.helpers.openai_manners.server import Exchange

Sampled = Callable[..., list[dict[str, Any]]]


def seeded(exchange: Exchange) -> None:
    """Answers with the seed it was sent."""
    exchange.stream(delta(f"seed {exchange.body.get('seed')}"), *STOP)


@pytest.fixture
def sampled(store: Store, queued: Callable[..., int], tmp_path: Path) -> Sampled:
    """Runs a sweep on a server whose answers follow from the seed; returns its runs."""
    (tmp_path / "a.png").write_bytes(PNG)

    def run(
        question: Behave = seeded, own: Sequence[dict[str, Any]] = ({},), **more: Any
    ) -> list[dict[str, Any]]:
        manner = Manner(name="it", question=question, expected=Expected())
        with serving({"it": manner}) as server:
            model = {"id": "manner:it", "engine": "openai", "url": server.url("it")}
            models = [model | {"name": f"m{i}", "generation": given} for i, given in enumerate(own)]
            number = queued([], ["What?"], tried=models, images=["./a.png"], **more)
            Supervisor(store, lambda _: None).run_sweep(number)
        return list(
            store.db.query(
                "SELECT runs.*, jobs.repeat, sweeps.seed AS base FROM runs"
                " JOIN jobs ON jobs.id = job_id JOIN sweeps ON sweeps.id = sweep_id"
                " WHERE sweep_id = ? ORDER BY runs.id",
                [number],
            )
        )

    return run


def test_three_sampled_repeats_have_three_seeds_and_texts(sampled: Sampled) -> None:
    settings = {"do_sample": True, "temperature": 1.5, "seed": 11}
    first = sampled(generation=settings, repeats=3)
    assert [row["seed"] for row in first] == [11, derive_seed(11, 2), derive_seed(11, 3)]
    assert [row["text"] for row in first] == [f"seed {row['seed']}" for row in first]
    assert len({row["text"] for row in first}) == 3
    assert {row["base"] for row in first} == {11}
    again = sampled(generation=settings, repeats=3)
    assert [row["text"] for row in again] == [row["text"] for row in first]
    assert [row["seed"] for row in again] == [row["seed"] for row in first]


@pytest.mark.slow
def test_a_seed_that_was_drawn_is_stored_and_gives_the_same_again(sampled: Sampled) -> None:
    drawn = sampled(generation={"do_sample": True}, repeats=2)
    base = drawn[0]["base"]
    assert [row["seed"] for row in drawn] == [base, derive_seed(base, 2)]
    again = sampled(generation={"do_sample": True, "seed": base}, repeats=2)
    assert [row["text"] for row in again] == [row["text"] for row in drawn]
    other = sampled(generation={"do_sample": True}, repeats=2)
    assert other[0]["base"] != base


def test_greedy_runs_store_no_seed(sampled: Sampled) -> None:
    rows = sampled(repeats=2)
    assert [(row["seed"], row["base"], row["text"]) for row in rows] == [
        (None, None, "seed None")
    ] * 2


def test_a_models_own_seed_goes_before_the_sweeps(sampled: Sampled) -> None:
    rows = sampled(own=[{"seed": 5}, {}], generation={"do_sample": True, "seed": 11}, repeats=2)
    seeds = sorted(row["seed"] for row in rows)
    assert seeds == sorted([5, derive_seed(5, 2), 11, derive_seed(11, 2)])


def test_a_retry_has_the_seed_of_the_job(sampled: Sampled) -> None:
    failed: list[Any] = []

    def busy_once(exchange: Exchange) -> None:
        if exchange.body.get("seed") not in failed:
            failed.append(exchange.body.get("seed"))
            exchange.stream(delta("half"))  # the connection ends here
            return
        seeded(exchange)

    rows = sampled(busy_once, generation={"do_sample": True, "seed": 4}, repeats=2)
    attempts = [(row["repeat"], row["attempt"], row["outcome"]) for row in rows]
    assert sorted(attempts) == [(1, 1, "error"), (1, 2, "ok"), (2, 1, "error"), (2, 2, "ok")]
    for repeat in (1, 2):
        assert {r["seed"] for r in rows if r["repeat"] == repeat} == {derive_seed(4, repeat)}


def test_a_bug_report_repeats_the_seed_of_the_run(sampled: Sampled, store: Store) -> None:
    rows = sampled(generation={"do_sample": True}, repeats=2)
    with Reader(store.path) as reader:
        records = [run_record.find(reader, str(row["id"])) for row in rows]
    assert [one.generation["seed"] for one in records] == [row["seed"] for row in rows]

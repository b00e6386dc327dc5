"""Detects answers that depend on earlier prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.commands import check_order
from runner.database.store import Store
from runner.errors import SweepFileError
from runner.planning import expand, sweepfile
from tests.helpers.scripted_sweep import FakeLauncher


def check(folder: Path, prompts: list[str], **more: object) -> check_order.OrderCheckResult:
    (folder / "good").mkdir()
    asked = [{"text": text, "images": "none"} for text in prompts]
    data = {"models": ["./good"], "prompts": asked, **more}
    plan = expand.expand_sweep(sweepfile.validate(data, "test"), folder, "test")
    return check_order.run_order_check(plan, folder / "h.db", lambda event: None, FakeLauncher())


@pytest.mark.slow
def test_leak_is_distinguished_from_variation_and_failure(tmp_path: Path) -> None:
    checked = check(tmp_path, ["a", "leaky", "fickle", "error"])
    assert {job.prompt: job.verdict for job in checked.jobs} == {
        "a": "same",
        "leaky": "depends on order",
        "fickle": "nondeterministic",
        "error": "not answered",
    }
    (leaky,) = [job for job in checked.jobs if job.prompt == "leaky"]
    assert (leaky.alone, leaky.in_order, leaky.reversed) == (
        "0 before this one",
        "1 before this one",
        "2 before this one",
    )
    assert len(checked.sweeps) == 4
    assert check_order.order_check_exit_code(checked) == 1
    assert checked.in_words().startswith("4 jobs: 1 same, 1 depends on order")


def test_equal_answers_need_no_further_runs(tmp_path: Path) -> None:
    checked = check(tmp_path, ["a", "b"])
    assert len(checked.sweeps) == 3
    assert checked.as_rows(every=False) == []
    assert check_order.order_check_exit_code(checked) == 0


def test_random_differences_are_not_an_order_effect(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match="do_sample"):
        check(tmp_path, ["a"], generation={"do_sample": True})


def test_order_check_uses_no_fallback(tmp_path: Path) -> None:
    (tmp_path / "better").mkdir()
    tried = [{"id": "./good", "fallback": ["./better"]}]
    checked = check(tmp_path, ["a", "error"], models=tried)
    assert {job.prompt: job.verdict for job in checked.jobs} == {
        "a": "same",
        "error": "not answered",
    }
    with Store(tmp_path / "h.db").connection as connection:
        (variants,) = connection.execute("SELECT count(*) FROM sweep_models").fetchone()
    assert variants == len(checked.sweeps)

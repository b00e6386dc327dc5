"""Interference stored with a run: sleep, swap, throttling, memory pressure."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.supervisor.interference import CounterSnapshot, InterferenceTracker
from runner.system import counters
from tests.helpers.scripted_sweep import Sweeper

NAMES = ("slept_s", "swapped_bytes", "throttled_s", "thermal_throttles", "memory_stalled_s")


def test_unknown_counter_is_null_and_none_is_zero() -> None:
    before = CounterSnapshot({"slept_s": 5.0, "swapped_bytes": None, "thermal_throttles": 3})
    after = CounterSnapshot({"slept_s": 5.000001, "swapped_bytes": 9, "thermal_throttles": 3})
    assert before.until(after) == {"slept_s": 0.0, "swapped_bytes": None, "thermal_throttles": 0}


def test_reset_counter_is_unknown() -> None:
    assert CounterSnapshot({"throttled_s": 8.0}).until(CounterSnapshot({"throttled_s": 1.0})) == {
        "throttled_s": None
    }


def test_interference_is_recorded_per_load_and_per_run(monkeypatch) -> None:
    slept = iter([0.0, 10.0, 11.0, 50.0, 50.0])
    monkeypatch.setattr(counters, "slept_s", lambda: next(slept))
    interference = InterferenceTracker()
    assert interference.begin_run()["load_slept_s"] == 10
    assert interference.end_run()["slept_s"] == 1
    assert interference.begin_run() == {}
    assert interference.end_run()["slept_s"] == 0
    assert interference.end_run() == interference.end_load() == {}


@pytest.fixture
def rough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that sleeps an hour, swaps and is slowed between any two looks at it."""
    looks: defaultdict[str, int] = defaultdict(int)

    def counts(name: str):
        def count() -> float:
            looks[name] += 1
            return looks[name] * (3600.0 if name == "slept_s" else 2)

        return count

    for name in NAMES:
        function = "thermal_throttle_count" if "throttles" in name else name
        monkeypatch.setattr(counters, function, counts(name))


def test_run_during_sleep_gets_a_note(rough, sweep: Sweeper) -> None:
    done = sweep(["good"], ["a", "exit 7"])
    for run in done.store.db.query("SELECT * FROM runs"):
        assert run["slept_s"] == 3600
        assert [run[name] for name in NAMES[1:]] == [2, 2, 2, 2]
        assert json.loads(run["notes"]) == ["the machine slept for 3600 s during this run"]
    assert [worker["load_slept_s"] for worker in done.workers] == [3600]
    assert [worker["load_swapped_bytes"] for worker in done.workers] == [2]
    assert "slept for 3600 s during its load" in done.workers[0]["notes"]


def test_history_lists_doubtful_times(rough, sweep: Sweeper) -> None:
    done = sweep(["good"], ["a", "b"])
    path = str(done.store.path)
    rows = json.loads(
        CliRunner().invoke(cli, ["history", "doubtful", "--json", "--db", path]).stdout
    )
    assert [(row["slept_s"], row["swapped_bytes"]) for row in rows] == [(3600, 2)] * 2
    done.store.connection.execute(
        "UPDATE runs SET slept_s = 0, swapped_bytes = NULL, thermal_throttles = 0, throttled_s = 0"
    )
    done.store.connection.execute(
        "UPDATE runs SET memory_stalled_s = CASE id WHEN 1 THEN 0.001 ELSE 0.1 END"
    )
    rows = json.loads(
        CliRunner().invoke(cli, ["history", "doubtful", "--json", "--db", path]).stdout
    )
    assert [(row["run"], row["memory_stalled_s"]) for row in rows] == [(2, 0.1)]


def test_failed_load_records_its_interference(rough, sweep: Sweeper) -> None:
    done = sweep(["exit-in-load"], ["a"])
    assert done.workers[0]["load_slept_s"] == 3600
    (run,) = done.store.db.query("SELECT * FROM runs")
    assert run["slept_s"] is None
    assert run["notes"] is None


def test_run_without_interference_has_no_note(sweep: Sweeper) -> None:
    (run,) = sweep(["good"], ["a"]).store.db.query("SELECT * FROM runs")
    assert run["slept_s"] == 0
    assert run["notes"] is None

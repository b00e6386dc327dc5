"""Times in the queue list, and the cost of computing them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.database import queue_status
from runner.database.estimates import estimate
from runner.database.reader import Reader
from runner.database.store import Store
from runner.system.timestamps import format_timestamp
from tests.helpers.queue_harness import Night

NOW = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
JOB_S, LOAD_S = 0.2, 0.25  # reported by the scripted model


@pytest.fixture
def known(night: Night) -> Night:
    """A model has been run before."""
    night.add(["good"], ["history"], name="history")
    night.work()
    return night


def listed(store: Store) -> dict[str, dict[str, Any]]:
    with Reader(store.path) as reader:
        return {row["name"]: row for row in queue_status.queue_sweeps(reader, NOW)}


def after(seconds: float) -> str:
    return format_timestamp(NOW + timedelta(seconds=seconds))


def test_held_sweep_has_no_estimate_and_delays_no_other(known: Night, store: Store) -> None:
    first = known.add(["good"], ["a"], name="paused", paused=1)
    known.add(["good"], ["a"], name="tomorrow", not_before=after(80_000))
    known.add(["good"], ["a"], name="second", after_sweep_id=first)
    known.add(["good"], ["a", "b"], name="now", not_before=after(-60))
    known.add(["new"], ["a"], name="unknown")
    known.add(["good"], ["a"], name="then")
    rows = listed(store)
    ends = {name: row["ends_at"] for name, row in rows.items()}
    assert ends.pop("now") == after(LOAD_S + 2 * JOB_S)
    assert set(ends.values()) == {None}
    assert {name: row["state"] for name, row in rows.items()} == {
        "paused": "paused",
        "tomorrow": "scheduled",
        "second": "after",
        "now": "queued",
        "unknown": "queued",
        "then": "queued",
    }


def test_finished_jobs_are_not_in_the_estimate(known: Night, store: Store) -> None:
    known.add(["good"], ["a", "b", "c"], name="x")
    (job,) = store.connection.execute("SELECT max(id) FROM jobs").fetchone()
    store.finish_run(store.start_run(job, None), {"outcome": "ok"})
    assert listed(store)["x"]["expected_s"] == pytest.approx(LOAD_S + 2 * JOB_S)


def test_paused_model_is_not_in_the_estimate(known: Night, store: Store) -> None:
    (known.store.path.parent / "good").mkdir(exist_ok=True)
    known.add(["good"], ["a"], name="x")
    store.connection.execute("UPDATE sweep_models SET paused = 1 WHERE sweep_id = 2")
    known.add(["good"], ["a"], name="y")
    rows = listed(store)
    assert rows["x"]["ends_at"] is None
    assert rows["y"]["ends_at"] == after(LOAD_S + JOB_S)


def test_estimate_reads_only_the_latest_runs_and_loads(known: Night, store: Store) -> None:
    """However long the history is: here 9,999 workers, with 30,000 runs of the last of them, and
    as many of another model since."""
    known.add(["another"], ["a"], name="another")
    known.work()
    store.connection.executescript(
        """
        WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        INSERT INTO workers (sweep_id, number, sweep_model_id, model_id, started_at, phase, load_s,
            log_path) SELECT 1, i, 1, (SELECT model_id FROM workers WHERE id = 1), '', 'load', 5.0,
            '' FROM n;
        WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
        INSERT INTO runs (job_id, attempt, worker_id, started_at, outcome, latency_s)
            SELECT 1, i, (SELECT max(id) FROM workers), '', 'ok', 9.0 FROM n;
        WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        INSERT INTO workers (sweep_id, number, sweep_model_id, model_id, started_at, phase, load_s,
            log_path) SELECT 2, i, 2, (SELECT model_id FROM workers WHERE id = 2), '', 'load', 7.0,
            '' FROM n;
        """
    )
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    (place,) = store.connection.execute("SELECT location FROM models WHERE id = 1").fetchone()
    store.connection.set_progress_handler(count, 100)
    found = estimate(store.connection, "local", place)
    store.connection.set_progress_handler(None, 0)
    assert (found.load_s, found.latency_s) == (5.0, 9.0)
    assert steps < 200  # of a hundred instructions each; reading it all takes thousands

"""An image that cannot be read is nobody's failure: every reader counts it separately."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from runner import api
from runner.cli import cli
from runner.database.reader import Reader
from runner.database.store import Store
from runner.report.load import load_report

OK: dict[str, Any] = {"outcome": "ok", "text": "red", "latency_s": 1.0}
BROKEN = {
    "outcome": "error",
    "phase": "prepare",
    "error_class": "bad_image",
    "message": "is broken",
}
FAILED = {"outcome": "error", "phase": "prefill", "error_class": "internal", "message": "no"}


def ran(store: Store, sweep: int, rows: list[dict[str, Any]]) -> None:
    """Ends a sweep's jobs with these rows, in order."""
    jobs = store.connection.execute(
        "SELECT id, sweep_model_id FROM jobs WHERE sweep_id = ? ORDER BY position", [sweep]
    ).fetchall()
    for (job, model), row in zip(jobs, rows, strict=True):
        worker = None if row is BROKEN else store.start_worker(model, Path("log"), job)
        store.finish_run(store.start_run(job, worker), row)
    store.connection.execute("UPDATE sweeps SET state = 'done' WHERE id = ?", [sweep])


def rows_of(store: Store, *words: str) -> Any:
    done = CliRunner().invoke(cli, [*words, "--json", "--db", str(store.path)])
    return json.loads(done.stdout)


def test_every_reader_counts_it_apart(store: Store, queued: Callable[..., int]) -> None:
    first = queued(["m"], ["a", "b", "c"], name="first")
    ran(store, first, [OK, OK, OK])
    second = queued(["m"], ["a", "b", "c"], name="second")
    ran(store, second, [OK, BROKEN, BROKEN])

    (shown,) = rows_of(store, "show", "second")
    assert (shown["ok"], shown["failed"], shown["unusable_images"]) == (1, 0, 2)
    assert (shown["success_rate"], shown["notes"]) == (1.0, None)
    assert shown["status"] == "1 ok, 2 unusable image"
    listed = rows_of(store, "sweeps")[0]
    assert (listed["ok"], listed["failed"], listed["unusable_images"]) == (1, 0, 2)
    with Reader(store.path) as reader:
        report = load_report(reader, reader.sweep("second"))
        (model,) = report.models
        assert (model.works, model.outcomes) == ("all", {"ok": 1, "unusable_image": 2})
        assert [failure.model for failure in report.failures] == [None]
        assert api.exit_code("done", reader.summary(second)) == 1

    compared = rows_of(store, "diff", "first", "second")
    assert not compared["regression"]
    assert compared["models"][0]["counts"]["not_run"] == 2
    asked = {name: rows_of(store, "history", name) for name in ("summary", "failures", "flaky")}
    assert (asked["summary"][0]["failed"], asked["summary"][0]["unusable_images"]) == (0, 2)
    assert [(row["model"], row["jobs"]) for row in asked["failures"]] == [(None, 2)]
    assert asked["flaky"] == rows_of(store, "history", "regressions") == []


def test_a_failure_of_the_model_still_counts(store: Store, queued: Callable[..., int]) -> None:
    ran(store, queued(["m"], ["a", "b"], name="first"), [OK, OK])
    ran(store, queued(["m"], ["a", "b"], name="second"), [OK, FAILED])
    (shown,) = rows_of(store, "show")
    assert (shown["failed"], shown["unusable_images"], shown["success_rate"]) == (1, 0, 0.5)
    assert rows_of(store, "diff", "first", "second")["regression"]
    assert rows_of(store, "history", "failures")[0]["model"] == "m"

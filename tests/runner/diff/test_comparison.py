"""Comparison of two sides of a history: pairs, changes and regressions."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli import cli
from runner.database.reader import Reader
from runner.database.store import Store
from runner.diff import Comparison, Thresholds, compare_sides, ratios
from runner.diff import view as comparison
from runner.errors import QueryError

Queued = Callable[..., int]
OK: dict[str, Any] = {"outcome": "ok", "text": "a red circle", "latency_s": 2.0}
OK |= {"peak_rss_bytes": 1000, "peak_rss_method": "VmHWM"}
LATE = {"outcome": "timeout", "message": "no text within 60 s"}


def ran(
    store: Store, sweep: int, outcomes: list[dict[str, Any]], packages: dict[str, str] | None = None
) -> int:
    """Gives a sweep's jobs their outcomes, by a worker per model with such libraries."""
    environment = store.connection.execute(
        "INSERT INTO environments (sha256, python, platform, machine, packages)"
        " VALUES (hex(randomblob(8)), '3.11', 'Linux', 'x86_64', ?) RETURNING id",
        [json.dumps(packages or {"transformers": "5.22.0"})],
    ).fetchone()[0]
    jobs = store.connection.execute(
        "SELECT id, sweep_model_id FROM jobs WHERE sweep_id = ? ORDER BY position", [sweep]
    ).fetchall()
    workers: dict[int, int] = {}
    for (job, model), outcome in zip(jobs, outcomes, strict=True):
        if model not in workers:
            workers[model] = store.start_worker(model, Path("log"), len(workers) + 1)
            store.update("workers", workers[model], {"environment_id": environment})
        store.finish_run(store.start_run(job, workers[model]), outcome)
    return sweep


def held(store: Store, a: object = 1, b: object = 2, **limits: Any) -> Comparison:
    """Compares two sides."""
    with Reader(store.path) as reader:
        return compare_sides(reader, str(a), None if b is None else str(b), Thresholds(**limits))


def changes(found: Comparison) -> dict[str, str]:
    """Change of each prompt's job."""
    return {found.row(pair)["prompt"]: pair.change for pair in found.pairs}


# Pairs.


def test_jobs_are_grouped_by_outcome_change(store: Store, queued: Queued) -> None:
    prompts = ["same", "text", "worse", "better", "still", "skipped", "gone"]
    skipped = {"outcome": "skipped", "message": "excluded"}
    ran(store, queued(["good"], prompts), [OK, OK, OK, LATE, LATE, OK, OK])
    other = [OK, OK | {"text": "a blue circle"}, LATE, OK, LATE, skipped, OK]
    ran(store, queued(["good"], [*prompts[:-1], "came"]), other)
    found = held(store)
    assert changes(found) == {
        "same": "same",
        "text": "text",
        "worse": "new_failure",
        "better": "fixed",
        "still": "failure",
        "skipped": "not_run",
        "gone": "only_a",
        "came": "only_b",
    }
    (model,) = found.models
    assert (model.name, model.counts["new_failure"], model.counts["only_b"]) == ("good", 1, 1)
    assert [(one.kind, one.count) for one in found.reasons] == [("new_failures", 1)]


def test_equal_models_are_paired_under_any_name(store: Store, queued: Queued) -> None:
    first = [{"id": "./good", "name": "x"}, {"id": "./good", "name": "y", "dtype": "float32"}]
    second = [{"id": "./good", "name": "z", "dtype": "float32"}, {"id": "./good", "name": "x"}]
    ran(store, queued(["good"], ["a"], first), [OK, OK])
    ran(store, queued(["good"], ["a"], second), [OK, OK])
    found = held(store)
    assert [model.name for model in found.models] == ["x", "z"]
    assert found.settings == []


def test_changed_setting_is_reported_and_keeps_the_pair(store: Store, queued: Queued) -> None:
    ran(store, queued(["good"], ["a"]), [OK])
    tried = [{"id": "./good", "dtype": "float16", "generation": {"max_new_tokens": 7}}]
    ran(store, queued(["good"], ["a"], tried), [OK])
    found = held(store)
    assert {(one.what, one.a, one.b) for one in found.settings} == {
        ("dtype", "auto", "float16"),
        ("generation.max_new_tokens", 100, 7),
    }


def test_moved_model_is_paired_by_folder_name(store: Store, queued: Queued, tmp_path: Path) -> None:
    ran(store, queued(["good", "other"], ["a"]), [OK, OK])
    (tmp_path / "moved").mkdir()
    ran(store, queued(["moved/good"], ["a"]), [OK])
    found = held(store)
    assert [(model.name, model.sides) for model in found.models] == [
        ("good", "both"),
        ("other", "a"),
    ]
    assert [one.what for one in found.settings] == ["location"]


def test_images_are_paired_by_bytes(store: Store, queued: Queued) -> None:
    from runner.database.sweep_writer import add_image
    from schemas.image import PreparedImage

    sweeps = [ran(store, queued(["good"], ["a", "b"]), [OK, OK]) for _ in range(2)]
    moved = (
        {"x.png": ("1", "p1"), "y.png": ("2", "p2")},
        {"z.png": ("2", "p2"), "w.png": ("9", "p1")},
    )
    for sweep, paths in zip(sweeps, moved, strict=True):
        jobs = store.connection.execute("SELECT id FROM jobs WHERE sweep_id = ?", [sweep])
        for (job,), (name, (digest, pixels)) in zip(jobs.fetchall(), paths.items(), strict=True):
            made = PreparedImage(
                path=Path("/p") / name, source_sha256=digest + str(sweep) * (digest in "19"),
                prepared_sha256=pixels,
            )  # fmt: skip
            image = add_image(store, made, 1024 if sweep == 1 else 512)
            store.insert("job_images", {"job_id": job, "position": 0, "image_id": image})
    store.connection.execute("UPDATE jobs SET prompt_id = 1")
    found = held(store)
    images = [
        (p.a and p.a["images"][0]["name"], p.b and p.b["images"][0]["name"]) for p in found.pairs
    ]
    assert images == [("x.png", "w.png"), ("y.png", "z.png")]
    assert [(one.what, one.a, one.b) for one in found.settings] == [("image.max_side", 1024, 512)]


def test_changed_libraries_are_listed(store: Store, queued: Queued) -> None:
    ran(store, queued(["good", "better"], ["a"]), [OK, OK], {"torch": "2.9", "gone": "1"})
    ran(store, queued(["good", "better"], ["a"]), [OK, OK], {"torch": "2.10", "new": "3"})
    found = held(store)
    assert [(one.what, one.a, one.b) for one in found.environment] == [
        ("gone", "1", None),
        ("new", None, "3"),
        ("torch", "2.9", "2.10"),
    ]
    assert found.environment[0].models == ["good", "better"]


# Ratios and the verdict.


def sides(store: Store, queued: Queued, b: list[float], **more: Any) -> None:
    """Two sweeps: one of 2 s per job, one of the given times."""
    prompts = [f"p{n}" for n in range(len(b))]
    ran(store, queued(["good"], prompts), [OK] * len(b))
    ran(store, queued(["good"], prompts), [OK | {"latency_s": s} | more for s in b])


def test_model_is_slower_when_the_whole_interval_is_above_one(store: Store, queued: Queued) -> None:
    sides(store, queued, [2.9, 3.0, 3.0, 3.0, 3.1, 3.2, 3.2], peak_rss_bytes=1300)
    found = held(store)
    ratio = found.models[0].ratios["latency_s"]
    assert ratio.ratio == 1.5
    assert (ratio.low, ratio.high, ratio.pairs) == (2.9 / 2, 3.2 / 2, 7)
    assert [one.kind for one in found.reasons] == ["slower", "memory"]
    assert not held(store, slower=1.5, memory=1.3).regression
    assert found.models[0].ratios["load_s"] == ratios.EMPTY
    assert found.models[0].ratios["peak_device_bytes"] == ratios.EMPTY


@pytest.mark.parametrize("times", [[9.0], [9.0, 2.0], [9.0, 9.0, 9.0, 2.0, 2.0, 2.0, 2.0]])
def test_difference_within_the_spread_is_no_regression(
    store: Store, queued: Queued, times: list[float]
) -> None:
    sides(store, queued, times)
    assert not held(store).regression


def test_peaks_from_different_methods_are_not_compared(store: Store, queued: Queued) -> None:
    sides(store, queued, [2.0, 2.0], peak_rss_bytes=9000, peak_rss_method="sampled rss")
    assert held(store).models[0].ratios["peak_rss_bytes"] == ratios.EMPTY


def test_changed_texts_count_only_when_requested(store: Store, queued: Queued) -> None:
    sides(store, queued, [2.0, 2.0], text="a blue circle")
    assert not held(store).regression
    assert [(one.kind, one.count) for one in held(store, texts=True).reasons] == [("texts", 2)]


@pytest.mark.parametrize("count", [6, 9, 25, 501, 700])
def test_interval_covers_the_median_at_its_stated_rate(count: int) -> None:
    drawn = random.Random(count)
    held = 0
    for _ in range(400):
        seen = sorted(drawn.lognormvariate(0, 1) for _ in range(count))
        low, high = ratios.median_confidence_interval(seen)
        assert low <= median(seen) <= high
        held += low <= 1 <= high
    assert held / 400 > 0.92


# Side arguments.


@pytest.fixture
def history(store: Store, queued: Queued) -> Store:
    """Three sweeps on three days; the second has a failure, and another transformers."""
    for day, version in enumerate(("5.22.0", "5.23.0", "5.23.0"), 20):
        name = "nightly" if day != 21 else None
        outcomes = [OK | {"text": f"on {day}"}] + ([LATE] if day == 21 else [OK])
        sweep = queued(["good"], ["a", "b"], name=name)
        ran(store, sweep, outcomes, {"transformers": version, "my_lib": "1"})
        store.connection.execute(
            "UPDATE runs SET ended_at = ? WHERE job_id IN (SELECT id FROM jobs WHERE sweep_id = ?)",
            [f"2026-11-{day}T23:30:00.000000Z", sweep],
        )
    return store


@pytest.mark.parametrize(
    ("a", "b", "text_a", "text_b", "b_becomes"),
    [
        ("1", "2", "on 20", "on 21", "new_failure"),
        ("nightly~1", "nightly", "on 20", "on 22", "same"),
        ("~2", "~1", "on 20", "on 21", "new_failure"),
        ("2", None, "on 21", "on 22", "fixed"),
        ("2026-11-20", "2026-11-21", "on 20", "on 21", "new_failure"),
        ("2026-11-21T23:29", "2026-11-30", "on 20", "on 22", "same"),
        ("2026-11-21T23:29+00:00", "2026-11-22T00:00+01:00", "on 20", "on 20", "same_run"),
        ("transformers==5.22.0", "transformers==5.23.0", "on 20", "on 22", "same"),
        ("python==3.11", "My-Lib==1", "on 22", "on 22", "same_run"),
    ],
)
def test_side_argument_forms(
    history: Store, a: str, b: str | None, text_a: str, text_b: str, b_becomes: str
) -> None:
    found = held(history, a, b)
    first, second = found.pairs
    assert first.a
    assert first.b
    assert (first.a["text"], first.b["text"]) == (text_a, text_b)
    assert second.change == b_becomes


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ("nightli", "did you mean nightly"),
        ("nightly~2", "not that many"),
        ("2026-13-45", "not a day"),
        ("2026-01-01", "nothing is stored"),
        ("transformers==4", "nothing is stored"),
    ],
)
def test_missing_side_is_reported(history: Store, stored: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        held(history, stored)


def test_sides_without_common_jobs_are_reported(history: Store, queued: Queued) -> None:
    ran(history, queued(["other"], ["c"]), [OK])
    with pytest.raises(QueryError, match="no job in common"):
        held(history, "1", None)


# The command.


def diff(store: Store, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["diff", "--db", str(store.path), *arguments])


def test_diff_exit_code_reports_a_regression(history: Store) -> None:
    worse = diff(history, "1", "2")
    assert worse.exit_code == 1
    assert "on {-20-}{+21+}" in worse.stdout
    assert "good · b: timeout: no text within 60 s" in worse.stdout
    assert "transformers  5.22.0 → 5.23.0" in worse.stdout
    assert worse.stdout.endswith("Regression\n  good: 1 new failure\n")
    better = diff(history, "2", "3")
    assert (better.exit_code, better.stdout.splitlines()[-1]) == (0, "No regression")
    assert diff(history, "1", "nosuch").exit_code == 2


def test_diff_output_formats(history: Store) -> None:
    whole = json.loads(diff(history, "1", "2", "--json").stdout)
    assert whole["regression"] is True
    assert [job["change"] for job in whole["jobs"]] == ["text", "new_failure"]
    assert whole["models"][0]["ratios"]["latency_s"]["pairs"] == 1
    rows = [json.loads(line) for line in diff(history, "1", "2", "--nl").stdout.splitlines()]
    assert [(row["text_a"], row["text_b"]) for row in rows] == [
        ("on 20", "on 21"),
        (OK["text"], None),
    ]
    assert diff(history, "1", "2", "--csv").stdout.startswith("model,image,prompt,repeat,change,")


def test_hostile_text_stays_text(store: Store, queued: Queued) -> None:
    evil = "</pre><script>alert(1)</script> @team \x1b[31m [x](http://y) | `z`"
    ran(store, queued(["good"], ["a|b <i>"]), [OK])
    ran(store, queued(["good"], ["a|b <i>"]), [OK | {"text": evil}])
    shown = diff(store, "1", "2").stdout
    assert "\x1b" not in shown
    assert "<script>" in shown
    page = diff(store, "1", "2", "--markdown").stdout
    assert diff(store, "1", "2", "--md").stdout == page
    assert "\x1b" not in page
    assert "<script>" not in page
    assert "</pre><script" not in page
    assert page.count("</pre>") == 1
    assert "<code>good · a\\|b \\<i\\></code>" in page


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_shows_texts_side_by_side_in_colour(
    store: Store, queued: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    sides(store, queued, [2.0], text="a blue \x1b[5mcircle")
    screen = Terminal()
    comparison.write_comparison(held(store), screen, 20)
    (line,) = [line for line in screen.getvalue().splitlines() if "blue" in line]
    red, blue = line.index("red"), line.index("blue")
    assert line[:red].endswith("\x1b[31m")
    assert line[:blue].endswith("\x1b[32m")
    assert "\x1b[5m" not in line
    assert len(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()) <= 80
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    comparison.write_comparison(held(store), plain, 20)
    assert "{-red circle-}{+blue" in plain.getvalue()


def test_omitted_rows_are_counted(store: Store, queued: Queued) -> None:
    sides(store, queued, [2.0] * 5, text="a blue circle")
    shown = diff(store, "1", "2", "--limit", "2").stdout
    assert shown.count("{+blue+}") == 2
    assert "and 3 more" in shown
    assert diff(store, "1", "2", "--limit", "0").stdout.count("{+blue+}") == 5

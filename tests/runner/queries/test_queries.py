"""The named queries: each on a small history whose right answer is known, and their files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import queries
from runner.database import sweep_writer
from runner.database.reader import Reader
from runner.database.store import Store
from runner.errors import QueryError
from runner.planning import expand, sweepfile
from runner.system import environment
from tests.helpers.scripted_sweep import image

NOWHERE = Path("/nonexistent")
OURS = {path.stem for path in queries.OURS.glob("*.sql")}
LOG = Path("/log")
SOURCE = Path(__file__).read_text()
TESTED = set(re.findall(r'made\.ask\("([a-z-]+)"', SOURCE))


class History:
    """A history that is written by the store itself, a run at a time."""

    def __init__(self, store: Store, queued: Callable[..., int], folder: Path) -> None:
        self.store, self.queued, self.folder = store, queued, folder

    def sweep(
        self, models: list[str], prompts: list[str], images: list[str] | None = None, **more: Any
    ) -> int:
        """A started sweep."""
        for name in images or []:
            (self.folder / name).touch()
        number = self.queued(models, prompts, **({"images": images} if images else {}), **more)
        self.store.set_sweep_state(number, "running")
        return number

    def variant(self, sweep: int, model: str) -> int:
        """A model's part in a sweep."""
        found = self.store.connection.execute(
            "SELECT id FROM sweep_models WHERE sweep_id = ? AND name = ?", [sweep, model]
        )
        return int(found.fetchone()[0])

    def worker(self, sweep: int, model: str, **row: Any) -> int:
        """A worker that has ended."""
        number = self.store.next_worker_number(sweep)
        worker = self.store.start_worker(self.variant(sweep, model), LOG, number)
        self.store.update("workers", worker, {"ended_at": "2026-01-01", **row})
        return worker

    def run(
        self,
        sweep: int,
        model: str,
        outcome: str = "ok",
        prompt: str | None = None,
        image: str | None = None,
        repeat: int = 1,
        worker: int | None = None,
        **row: Any,
    ) -> int:
        """A run of the first job that is meant, ended so."""
        (job,) = self.store.connection.execute(
            "SELECT jobs.id FROM jobs JOIN prompts ON prompts.id = prompt_id"
            " LEFT JOIN job_images ON job_id = jobs.id LEFT JOIN images ON images.id = image_id"
            " WHERE sweep_model_id = ? AND repeat = ? AND ifnull(?, prompts.text) = prompts.text"
            " AND (?4 IS NULL OR ?4 = images.name) ORDER BY jobs.id LIMIT 1",
            [self.variant(sweep, model), repeat, prompt, image],
        ).fetchone()
        run = self.store.start_run(job, worker)
        self.store.finish_run(run, {"outcome": outcome, **row})
        return run

    def ask(self, name: str, **given: Any) -> list[dict[str, Any]]:
        """A named query's answer."""
        query = queries.find_query(name, NOWHERE)
        with Reader(self.store.path) as reader:
            return reader.records_with_parameters(query.sql, query.values(given))


@pytest.fixture
def made(store: Store, queued: Callable[..., int], tmp_path: Path) -> History:
    return History(store, queued, tmp_path)


def column(rows: list[dict[str, Any]], *names: str) -> list[Any]:
    """One column's values, or tuples of several."""
    values = [tuple(row[name] for name in names) for row in rows]
    return [value[0] for value in values] if len(names) == 1 else values


def test_summary_shows_the_latest_run_of_each_model(made: History) -> None:
    old = made.sweep(["quick", "slow"], ["a"], name="old")
    made.run(old, "quick", latency_s=9.0)
    made.run(old, "slow", latency_s=8.0)
    new = made.sweep(["quick"], ["a", "b"], name="new")
    made.worker(new, "quick", load_s=2.0, peak_rss_bytes=700)
    made.worker(new, "quick", load_s=4.0, peak_rss_bytes=300)
    made.run(new, "quick", "timeout", prompt="a")
    made.run(new, "quick", prompt="a", latency_s=1.0, generation_tps=50.0)
    made.run(new, "quick", "error", prompt="b", latency_s=99.0)
    made.sweep(["quick", "slow"], ["a"], name="tonight")
    quick, slow = made.ask("summary")
    assert (quick["model"], quick["sweep"], quick["ok"], quick["failed"]) == ("quick", "new", 1, 1)
    assert (quick["latency_s"], quick["load_s"], quick["peak_rss_bytes"]) == (1.0, 3.0, 700)
    assert quick["generation_tps"] == 50.0
    assert (slow["model"], slow["sweep"], slow["latency_s"]) == ("slow", "old", 8.0)
    assert column(made.ask("summary", sweep="old"), "model", "latency_s") == [
        ("slow", 8.0),
        ("quick", 9.0),
    ]


def test_summary_counts_jobs_of_a_fallback(made: History) -> None:
    tried = [{"id": "./good", "fallback": [{"id": "./poor"}]}]
    sweep = made.sweep(["good", "poor"], ["a"], tried=tried)
    made.worker(sweep, "good (fallback 1)", load_s=5.0, peak_rss_bytes=900)
    made.run(sweep, "good")
    (row,) = made.ask("summary")
    assert (row["model"], row["load_s"], row["peak_rss_bytes"]) == ("good", 5.0, 900)


def test_latest_lists_every_attempt_newest_first(made: History, store: Store) -> None:
    sweep = made.sweep(["m"], ["a", "b"])
    first = made.run(sweep, "m", "crashed", prompt="a", message="died")
    again = made.run(sweep, "m", prompt="a", text="red")
    under_way = store.start_run(2, None)
    found = made.ask("latest")
    assert column(found, "run", "outcome", "text") == [
        (under_way, "running", None),
        (again, "ok", "red"),
        (first, "crashed", "died"),
    ]
    assert column(made.ask("latest", limit=1), "run") == [under_way]


def test_failures_are_counted_by_kind_over_latest_runs(made: History) -> None:
    old = made.sweep(["m"], ["a"], name="old")
    made.run(old, "m", "crashed", phase="load")
    sweep = made.sweep(["m", "n"], ["a", "b", "c"], ["1.png"], name="new")
    made.run(sweep, "m", "timeout", prompt="a", phase="load", error_class="load_s", message="one")
    made.run(sweep, "m", "timeout", prompt="b", phase="load", error_class="load_s", message="two")
    made.run(sweep, "m", "timeout", prompt="c", phase="prefill", error_class="run_s")
    made.run(sweep, "n", "error", prompt="a")
    made.run(sweep, "n", prompt="a")
    made.run(sweep, "n", "skipped", prompt="b", error_class="excluded")
    made.run(sweep, "n", "skipped", prompt="c", error_class="worker_lost", message="gone")
    found = made.ask("failures")
    assert column(found, "model", "outcome", "phase", "jobs") == [
        ("m", "timeout", "load", 2),
        ("m", "timeout", "prefill", 1),
        ("n", "skipped", None, 1),
    ]
    assert (found[0]["message"], found[0]["image"], found[0]["sweep"]) == ("two", "1.png", "new")
    assert column(made.ask("failures", sweep="old"), "outcome") == ["crashed"]
    assert len(made.ask("failures", sweep="all")) == 4


def test_slowest_lists_the_slowest_answers(made: History) -> None:
    made.run(made.sweep(["m"], ["z"]), "m", latency_s=100.0)
    sweep = made.sweep(["m"], ["a", "b", "c"])
    made.run(sweep, "m", prompt="a", latency_s=50.0)
    made.run(sweep, "m", prompt="a", latency_s=1.0, ttft_s=0.5, output_tokens=7)
    made.run(sweep, "m", prompt="b", latency_s=3.0)
    made.run(sweep, "m", "timeout", prompt="c", latency_s=99.0)
    found = made.ask("slowest")
    assert column(found, "prompt", "latency_s") == [("b", 3.0), ("a", 1.0)]
    assert (found[1]["ttft_s"], found[1]["output_tokens"]) == (0.5, 7)
    assert column(made.ask("slowest", limit=1), "prompt") == ["b"]
    assert column(made.ask("slowest", sweep="all"), "latency_s") == [100.0, 3.0, 1.0]


def test_memory_is_listed_by_model(made: History) -> None:
    tried = [{"id": "./good", "fallback": [{"id": "./poor"}]}, {"id": "./big"}]
    old = made.sweep(["good", "poor", "big"], ["a", "b"], tried=tried)
    made.worker(old, "good", load_s=1.0, peak_rss_bytes=10, peak_device_bytes=5)
    made.worker(old, "good (fallback 1)", load_s=1.0, peak_rss_bytes=30, peak_anonymous_bytes=20)
    made.worker(old, "big", load_s=1.0, peak_rss_bytes=20, peak_device_bytes=90, peak_file_bytes=4)
    made.run(old, "big", "out_of_memory", prompt="a")
    made.run(old, "big", "memory_limit", prompt="b")
    made.run(old, "big", prompt="b")
    new = made.sweep(["good"], ["a"])
    made.worker(new, "good", load_s=1.0, peak_rss_bytes=40)
    big, good = made.ask("memory")
    assert (big["model"], big["peak_device_bytes"], big["peak_file_bytes"]) == ("big", 90, 4)
    assert (big["out_of_memory_jobs"], big["workers"]) == (1, 1)
    assert (good["peak_rss_bytes"], good["peak_anonymous_bytes"]) == (40, 20)
    assert (good["out_of_memory_jobs"], good["workers"]) == (0, 3)
    assert column(made.ask("memory", sweep="latest"), "model", "workers") == [("good", 1)]


def test_memory_of_a_worker_that_never_loaded_is_not_the_models(made: History) -> None:
    sweep = made.sweep(["good", "bad"], ["a"])
    made.worker(sweep, "good", load_s=1.0, peak_rss_bytes=50, peak_device_bytes=6)
    made.worker(sweep, "good", peak_rss_bytes=90, peak_device_bytes=9)
    made.worker(sweep, "bad", peak_rss_bytes=10, peak_device_bytes=1)
    for model in ("good", "bad"):
        made.run(sweep, model)
    names = ("model", "peak_rss_bytes", "peak_device_bytes")
    expected = [("bad", None, None), ("good", 50, 6)]
    for question in ("memory", "summary"):
        assert sorted(column(made.ask(question), *names)) == expected
    view = made.store.db.query("SELECT * FROM summary ORDER BY model")
    assert [tuple(row[name] for name in names) for row in view] == expected


def test_timeouts_show_the_limit_and_the_partial_text(made: History) -> None:
    made.run(made.sweep(["m"], ["z"], name="old"), "m", "timeout", raw_text="before")
    sweep = made.sweep(["m"], ["a", "b", "c"])
    worker = made.worker(sweep, "m", killed_for="silence_s", kill_s=0.04, survivors=0)
    made.run(sweep, "m", "timeout", prompt="a", worker=worker, phase="generate", raw_text="A r")
    made.run(sweep, "m", "timeout", prompt="b")
    made.run(sweep, "m", prompt="b")
    made.run(sweep, "m", "timeout", prompt="c", phase="load")
    found = made.ask("timeouts")
    assert column(found, "prompt", "phase") == [("c", "load"), ("a", "generate")]
    assert (found[1]["limit_hit"], found[1]["raw_text"], found[1]["kill_s"]) == (
        "silence_s",
        "A r",
        0.04,
    )
    assert column(made.ask("timeouts", limit=1), "prompt") == ["c"]
    assert column(made.ask("timeouts", sweep="old"), "raw_text") == ["before"]


def test_by_image_groups_answers_by_image(made: History) -> None:
    old = made.sweep(["m"], ["a"], ["Cat.png"], name="old")
    made.run(old, "m", image="Cat.png", text="an old cat")
    sweep = made.sweep(["m", "n"], ["a"], ["Cat.png", "dog.png"])
    made.run(sweep, "m", image="dog.png", text="a dog")
    made.run(sweep, "m", "crashed", image="Cat.png", message="died")
    made.run(sweep, "m", image="Cat.png", text="a cat")
    made.run(sweep, "n", "error", image="Cat.png", message="no")
    found = made.ask("by-image")
    assert column(found, "image", "model", "outcome", "text") == [
        ("Cat.png", "m", "ok", "a cat"),
        ("Cat.png", "n", "error", "no"),
        ("dog.png", "m", "ok", "a dog"),
        ("dog.png", "n", "waiting", None),
    ]
    cats = made.ask("by-image", image="cAT*", sweep="all")
    assert column(cats, "text") == ["a cat", "an old cat", "no"]
    assert column(made.ask("by-image", image="cAT*"), "text") == ["a cat", "no"]
    assert column(made.ask("by-image", image="*/dog.png"), "text") == ["a dog", None]
    assert column(made.ask("by-image", limit=1), "text") == ["a cat"]


def test_by_image_lists_a_job_with_two_images_once(made: History) -> None:
    for name in ("a.png", "b.png"):
        (made.folder / name).touch()
    (made.folder / "m").mkdir()
    prompt = {"text": "both?", "images": ["a.png", "b.png"]}
    data = {"models": ["./m"], "prompts": [prompt]}
    plan = expand.expand_sweep(sweepfile.validate(data, "test"), made.folder, "test")
    images = [image(path) for path in plan.images]
    both = sweep_writer.add_sweep(made.store, plan, images, environment.supervisor_environment())
    found = made.ask("by-image", sweep=both)
    assert column(found, "image", "prompt") == [("a.png, b.png", "both?")]


def test_disagreements_ignore_whitespace_and_case(made: History) -> None:
    old = made.sweep(["m", "n"], ["z"], ["1.png"], name="old")
    made.run(old, "m", text="yes")
    made.run(old, "n", text="no")
    models = ["l", "m", "n"]
    sweep = made.sweep(models, ["a"], ["1.png", "2.png", "3.png", "4.png"])
    for model, text in zip(models, ("Red.", "red", "blue"), strict=True):
        made.run(sweep, model, image="1.png", text=text)
    for model, text in zip(models, ("one", "two", "three"), strict=True):
        made.run(sweep, model, image="2.png", text=text)
    for model in models:
        made.run(sweep, model, image="3.png", text=" Same! ")
    made.run(sweep, "l", image="3.png", text="same")
    made.run(sweep, "l", "timeout", image="4.png")
    made.run(sweep, "m", image="4.png", text="x")
    made.run(sweep, "n", image="4.png", text="y" * 81)
    found = made.ask("disagreements")
    assert column(found, "image", "answers", "largest_agreement", "answers_by_model") == [
        ("2.png", 3, 1, "one (l) / three (n) / two (m)"),
        ("1.png", 2, 2, "red (l, m) / blue (n)"),
    ]
    assert column(made.ask("disagreements", max_length=81), "image") == ["2.png", "4.png", "1.png"]
    assert column(made.ask("disagreements", limit=1), "image") == ["2.png"]
    assert column(made.ask("disagreements", sweep="old"), "prompt") == ["z"]


def environment_of(store: Store, **packages: str) -> int:
    """An environment with these libraries."""
    return store.environment(environment.worker_environment(packages, "3.12.1", None))


def test_versions_show_when_each_was_used(made: History, store: Store) -> None:
    first, second = made.sweep(["m"], ["a"]), made.sweep(["m"], ["a"])
    for sweep, version, day in ((first, "2.6.0", 1), (first, "2.6.0", 2), (second, "2.10.0", 9)):
        number = environment_of(store, torch=version)
        at = f"2026-01-0{day}T00:00:00.000000Z"
        made.worker(sweep, "m", environment_id=number, started_at=at)
    found = made.ask("versions", package="torch")
    assert column(found, "version", "sweeps") == [("2.10.0", 1), ("2.6.0", 1)]
    assert (found[1]["first_at"][:10], found[1]["last_at"][:10]) == ("2026-01-01", "2026-01-02")
    names = set(column(made.ask("versions"), "package"))
    assert {"torch", "python", "platform", "vlmsweep"} <= names


def test_regressions_compare_equal_configurations(made: History, store: Store) -> None:
    old = made.sweep(["m", "n", "p"], ["a", "b"], name="old")
    new = made.sweep(["m", "n", "p"], ["a", "b", "c"], name="new")
    made.worker(old, "m", environment_id=environment_of(store, torch="2.6", x="1"))
    made.worker(new, "m", environment_id=environment_of(store, torch="2.7", x="1"))
    for model in ("m", "n", "p"):
        made.run(old, model, prompt="a", latency_s=1.0, peak_rss_bytes=100)
        made.run(old, model, prompt="b", latency_s=1.0, peak_rss_bytes=100)
    made.run(new, "m", prompt="a", latency_s=1.0, peak_rss_bytes=110)
    broke = made.run(new, "m", "crashed", prompt="b", message="died")
    made.run(new, "n", "error", prompt="a")
    made.run(new, "n", prompt="a", latency_s=1.5, peak_rss_bytes=100)
    made.run(new, "n", prompt="b", latency_s=1.5, peak_rss_bytes=100)
    made.run(new, "p", prompt="a", latency_s=1.1, peak_rss_bytes=100)
    made.run(new, "p", "timeout", prompt="c")
    m, n = made.ask("regressions")
    assert (m["model"], m["newly_failing"], m["fixed"], m["jobs"]) == ("m", 1, 0, 2)
    assert (m["run"], m["message"], m["previous_sweep"]) == (broke, "died", "old")
    assert m["changed_packages"] == "torch 2.6 > 2.7"
    assert (n["model"], n["newly_failing"], n["time_ratio"]) == ("n", 0, 1.5)
    assert (n["latency_before_s"], n["latency_s"], n["changed_packages"]) == (1.0, 1.5, None)
    assert column(made.ask("regressions", min_ratio=1.05), "model") == ["m", "n", "p"]
    assert column(made.ask("regressions", min_ratio=2), "model") == ["m"]
    assert made.ask("regressions", sweep="old") == []


def test_higher_memory_use_is_a_regression(made: History) -> None:
    old, new = made.sweep(["m"], ["a"]), made.sweep(["m"], ["a"])
    made.run(old, "m", latency_s=1.0, peak_rss_bytes=100)
    made.run(new, "m", latency_s=1.0, peak_rss_bytes=150)
    assert column(made.ask("regressions"), "memory_ratio") == [1.5]


def test_each_repeat_is_compared_with_itself(made: History) -> None:
    old = made.sweep(["m"], ["a"], repeats=2)
    new = made.sweep(["m"], ["a"], repeats=2)
    for sweep, first in ((old, 1.0), (new, 3.0)):
        made.run(sweep, "m", latency_s=first)
        made.run(sweep, "m", "error" if sweep == new else "ok", repeat=2, latency_s=9.0)
    (row,) = made.ask("regressions")
    assert (row["jobs"], row["newly_failing"], row["time_ratio"]) == (2, 1, 3.0)


def test_costliest_loads_are_listed(made: History) -> None:
    tried = [{"id": "./good", "fallback": [{"id": "./poor"}]}, {"id": "./other"}]
    old = made.sweep(["good", "poor", "other"], ["a"], tried=tried)
    made.worker(old, "good")
    made.worker(old, "good (fallback 1)", load_s=4.0, import_s=1.0, weights_s=2.0)
    made.worker(old, "good (fallback 1)", load_s=6.0, import_s=2.0)
    made.worker(old, "other", load_s=3.0, download_s=70.0)
    new = made.sweep(["good"], ["a"])
    made.worker(new, "good", load_s=1.0)
    other, good = made.ask("costliest-loads")
    assert (other["model"], other["total_load_s"], other["total_download_s"]) == (
        "other",
        3.0,
        70.0,
    )
    assert (good["total_load_s"], good["loads"], good["failed"]) == (11.0, 3, 1)
    assert (good["longest_load_s"], good["import_s"]) == (6.0, 1.5)
    assert column(made.ask("costliest-loads", limit=1), "model") == ["other"]
    assert column(made.ask("costliest-loads", sweep=new), "load_s") == [1.0]


def test_flaky_jobs_are_listed(made: History) -> None:
    old = made.sweep(["m"], ["z"], repeats=2, name="old")
    made.run(old, "m", text="one")
    made.run(old, "m", text="two", repeat=2)
    sweep = made.sweep(["m"], ["texts", "outcomes", "steady", "stopped"], repeats=2)
    made.run(sweep, "m", prompt="texts", text="red")
    made.run(sweep, "m", prompt="texts", text="blue", repeat=2)
    made.run(sweep, "m", "crashed", prompt="outcomes")
    last = made.run(sweep, "m", prompt="outcomes", text="x")
    for repeat in (1, 2):
        made.run(sweep, "m", prompt="steady", text="same", repeat=repeat)
    made.run(sweep, "m", "interrupted", prompt="stopped")
    made.run(sweep, "m", prompt="stopped", text="done")
    found = made.ask("flaky")
    assert column(found, "prompt", "runs", "ok", "texts") == [
        ("outcomes", 2, 1, 1),
        ("texts", 2, 2, 2),
    ]
    assert set(found[0]["outcomes"].split(",")) == {"crashed", "ok"}
    assert found[0]["run"] == last
    assert (found[1]["text"], found[1]["other_text"]) == ("blue", "red")
    assert column(made.ask("flaky", limit=1), "prompt") == ["outcomes"]
    assert column(made.ask("flaky", sweep="old"), "prompt") == ["z"]
    assert len(made.ask("flaky", sweep="all")) == 3


def test_sampled_texts_and_fallbacks_are_not_flaky(made: History) -> None:
    sampled = {"do_sample": True}
    sweep = made.sweep(["m"], ["a"], repeats=2, generation=sampled)
    made.run(sweep, "m", text="red")
    made.run(sweep, "m", text="blue", repeat=2)
    assert made.ask("flaky") == []
    tried = [{"id": "./good", "fallback": [{"id": "./poor"}]}]
    sweep = made.sweep(["good", "poor"], ["a"], tried=tried)
    made.run(sweep, "good", "error", worker=made.worker(sweep, "good"))
    made.run(sweep, "good", worker=made.worker(sweep, "good (fallback 1)"), text="x")
    assert made.ask("flaky") == []


# The files, and the user's own.


def test_every_query_is_tested() -> None:
    sources = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert all(f'"{name}"' in sources for name in OURS)
    assert TESTED <= OURS
    assert len(TESTED) == 12


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_parameter_is_documented_used_tested_and_has_a_default(
    name: str, made: History
) -> None:
    query = queries.find_query(name, NOWHERE)
    declared = {parameter.name for parameter in query.parameters}
    assert declared == set(re.findall(r":(\w+)", query.code()))
    assert all(p.meaning and not p.required for p in query.parameters)
    assert query.title
    assert len(query.title) <= 45
    assert query.help
    for parameter in declared if name in TESTED else ():
        assert re.search(rf'ask\("{name}"[^)]*\b{parameter}=', SOURCE), parameter
    assert made.ask(name) == []
    assert all(len(line) <= 100 for line in query.sql.splitlines())


def test_user_query_overrides_a_built_in_query(tmp_path: Path) -> None:
    (tmp_path / "mine.sql").write_text("-- Mine\n-- :x  what\n-- :y = null  why\nselect :x, :y")
    (tmp_path / "summary.sql").write_text("select 7 as seven")
    found = {query.name: query for query in queries.list_queries(tmp_path)}
    assert set(found) == OURS | {"mine"}
    assert not found["summary"].is_builtin
    assert found["summary"].title == ""
    assert found["latest"].is_builtin
    mine = found["mine"]
    assert mine.title == "Mine"
    assert [(p.name, p.required, p.default) for p in mine.parameters] == [
        ("x", True, None),
        ("y", False, None),
    ]
    with pytest.raises(QueryError, match="needs a value for x: what"):
        mine.values({})
    assert mine.values({"x": 1}) == {"x": 1, "y": None}


def test_unknown_names_get_suggestions(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"no query 'flakey' \(did you mean flaky\?\)"):
        queries.find_query("flakey", tmp_path)
    with pytest.raises(QueryError, match=r"no parameter 'limt' \(did you mean limit\?\)"):
        queries.find_query("latest", tmp_path).values({"limt": 1})


def test_query_accepts_every_form_of_sweep_name(made: History) -> None:
    asked: list[str] = []

    def find(named: str) -> int:
        asked.append(named)
        return 7

    query = queries.find_query("failures", NOWHERE)
    assert query.values({"sweep": "2026"}, find) == {"sweep": 7}
    assert query.values({"sweep": "all"}, find) == {"sweep": "all"}
    assert query.values({}, find) == {"sweep": "latest"}
    assert asked == ["2026"]


def test_undecodable_query_file_is_a_readable_error(tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_bytes(b"\xff\xfe")
    with pytest.raises(QueryError, match=r"cannot read the query .*bad\.sql"):
        queries.list_queries(tmp_path)
    assert queries.find_query("latest", tmp_path).is_builtin


def test_colon_in_a_string_or_comment_is_not_a_parameter() -> None:
    sql = "-- T\nselect ':no', :yes -- :nor\n/* :this */"
    query = queries.NamedQuery("x", sql, "T", "", (), NOWHERE)
    assert query.values({"yes": 1}) == {"yes": 1}
    for name in ("no", "nor", "this"):
        with pytest.raises(QueryError, match="has no parameter"):
            query.values({name: 1})

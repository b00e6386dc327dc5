"""Effect of each request on the queue."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.control.dispatch import execute
from runner.control.protocol import Request, RequestError
from runner.control.registry import QueueChange
from runner.database.store import Store
from runner.supervisor.queue import Queue
from runner.system.timestamps import utc_now


@pytest.fixture
def sweeps(store: Store, queued: Callable[..., int]) -> list[int]:
    """Three sweeps in the queue: two models, three prompts each."""
    made = [queued(["one", "two"], ["a", "b", "c"], name=name) for name in "xyz"]
    store.connection.execute("UPDATE sweeps SET in_queue = 1")
    return made


def ask(store: Store, action: str, level: str, id: int, **more: Any) -> tuple[Any, QueueChange]:
    return execute(store, Request(action, {"level": level, "id": id, **more}))


def order(store: Store) -> list[tuple[int, str]]:
    return [(variant.sweep, variant.name) for variant in Queue(store.connection).ready(utc_now())]


def first_job(store: Store, variant: int) -> int:
    job = Queue(store.connection).claim(variant, utc_now())
    assert job is not None
    return job.id


def test_queue_order_is_age_then_listing(store: Store, sweeps: list[int]) -> None:
    assert order(store) == [(s, m) for s in sweeps for m in ("one", "two")]


def test_sweep_moves_first_last_before_and_by_priority(store: Store, sweeps: list[int]) -> None:
    x, y, z = sweeps

    def sequence() -> list[int]:
        return list(dict.fromkeys(sweep for sweep, _ in order(store)))

    ask(store, "move", "sweep", z, to="first")
    assert sequence() == [z, x, y]
    ask(store, "move", "sweep", x, to="last")
    assert sequence() == [z, y, x]
    ask(store, "move", "sweep", x, to="before", before=y)
    assert sequence() == [z, x, y]
    ask(store, "move", "sweep", y, priority=5)
    assert sequence() == [y, z, x]


def test_models_and_jobs_can_be_moved(store: Store, sweeps: list[int]) -> None:
    one, two = (variant.id for variant in Queue(store.connection, sweeps[0]).ready(utc_now()))
    ask(store, "move", "model", two, to="first")
    assert order(store)[:2] == [(sweeps[0], "two"), (sweeps[0], "one")]
    jobs = Queue(store.connection).queued_job_ids(one)
    ask(store, "move", "job", jobs[2], to="first")
    assert first_job(store, one) == jobs[2]
    ask(store, "move", "job", jobs[1], to="before", before=jobs[2])
    assert Queue(store.connection).queued_job_ids(one) == [jobs[1], jobs[2], jobs[0]]
    ask(store, "move", "job", jobs[1], to="last")
    assert first_job(store, one) == jobs[2]


def test_move_before_a_non_sibling_is_refused(store: Store, sweeps: list[int]) -> None:
    with pytest.raises(RequestError, match="not at the same level"):
        ask(store, "move", "sweep", sweeps[0], to="before", before=99)


@pytest.mark.parametrize("level", ["sweep", "model", "job"])
def test_paused_items_do_not_start_until_resumed(
    store: Store, sweeps: list[int], level: str
) -> None:
    (variant, *_) = Queue(store.connection, sweeps[0]).ready(utc_now())
    first = first_job(store, variant.id)
    target = {"sweep": sweeps[0], "model": variant.id, "job": first}[level]
    assert ask(store, "pause", level, target)[0] == {"changed": 1}
    assert ask(store, "pause", level, target)[0] == {"changed": 0}
    taken = Queue(store.connection).claim(variant.id, utc_now())
    assert (taken and taken.id) == (first + 1 if level == "job" else None)
    assert ((sweeps[0], "one") in order(store)) == (level == "job")
    ask(store, "resume", level, target)
    assert first_job(store, variant.id) == first


def test_cancelled_sweep_has_cancelled_rows_and_is_finished(
    store: Store, sweeps: list[int]
) -> None:
    reply, effect = ask(store, "cancel", "sweep", sweeps[1])
    assert reply == {"skipped": 6, "killed": 0}
    assert list(effect.skipped.values()) == [3, 3]
    rows = list(store.db.query("SELECT * FROM results WHERE sweep_id = ?", [sweeps[1]]))
    assert {(r["outcome"], r["error_class"], r["attempt"]) for r in rows} == {
        ("skipped", "cancelled", 1)
    }
    states = [row["state"] for row in store.db.query("SELECT state FROM sweeps ORDER BY id")]
    assert states == ["queued", "done", "queued"]


def test_running_job_is_cancelled_by_the_supervisor(store: Store, sweeps: list[int]) -> None:
    (variant, *_) = Queue(store.connection, sweeps[0]).ready(utc_now())
    job = first_job(store, variant.id)
    store.start_run(job, None)
    reply, effect = ask(store, "cancel", "model", variant.id)
    assert reply == {"skipped": 2, "killed": 1}
    assert effect.cancelled == {job}


def test_retry_queues_failed_and_cancelled_jobs(store: Store, sweeps: list[int]) -> None:
    (variant, *_) = Queue(store.connection, sweeps[0]).ready(utc_now())
    for outcome in ({"outcome": "ok"}, {"outcome": "error"}):
        run = store.start_run(first_job(store, variant.id), None)
        store.finish_run(run, outcome)
    ask(store, "cancel", "sweep", sweeps[0])
    store.connection.execute("UPDATE sweeps SET in_queue = 0")
    assert ask(store, "retry", "sweep", sweeps[0])[0] == {"queued": 5}
    assert len(Queue(store.connection).queued_job_ids(variant.id)) == 2
    (sweep,) = store.db.query("SELECT * FROM sweeps WHERE id = ?", [sweeps[0]])
    assert (sweep["state"], sweep["in_queue"]) == ("queued", 1)


def test_only_jobs_without_runs_are_removed(store: Store, sweeps: list[int]) -> None:
    (variant, *_) = Queue(store.connection, sweeps[0]).ready(utc_now())
    store.finish_run(store.start_run(first_job(store, variant.id), None), {"outcome": "ok"})
    with pytest.raises(RequestError, match="never deleted"):
        ask(store, "remove", "sweep", sweeps[0])
    assert ask(store, "remove", "model", variant.id)[0] == {"removed": 2}
    assert ask(store, "remove", "sweep", sweeps[2])[0] == {"removed": 6}
    assert [row["id"] for row in store.db.query("SELECT id FROM sweeps ORDER BY id")] == sweeps[:2]
    assert store.connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_repeated_request_is_applied_once(store: Store, sweeps: list[int]) -> None:
    request = Request("cancel", {"level": "sweep", "id": sweeps[0]})
    first = execute(store, request)
    again = execute(store, request)
    assert again == (first[0], QueueChange())
    (count,) = store.connection.execute("SELECT count(*) FROM runs").fetchone()
    assert count == 6


def test_failed_request_changes_nothing(store: Store, sweeps: list[int]) -> None:
    before = list(store.db.query("SELECT * FROM sweeps"))
    for action, arguments in (
        ("unheard of", {}),
        ("move", {"level": "sweep", "id": sweeps[0], "to": "before", "before": 12345}),
        ("add", {"staging_path": "/nowhere.db", "uid": "x"}),
    ):
        with pytest.raises(Exception, match=r"no action|not at the same level|no file"):
            execute(store, Request(action, arguments))
    assert list(store.db.query("SELECT * FROM sweeps")) == before
    assert list(store.db.query("SELECT * FROM requests")) == []


def test_moving_a_model_moves_its_fallbacks(store: Store, queued: Callable[..., int]) -> None:
    tried = [{"id": "./one", "fallback": ["./two"]}, "./three"]
    sweep = queued(["one", "two", "three"], ["a"], tried=tried)
    first, other = Queue(store.connection, sweep).ready(utc_now())
    ask(store, "move", "model", first.id, to="last")
    run = store.start_run(first_job(store, first.id), None)
    store.finish_run(run, {"outcome": "error"}, again=True, variant=first.next_variant)
    assert [variant.name for variant in Queue(store.connection, sweep).ready(utc_now())] == [
        other.name,
        "one",
    ]


@pytest.mark.slow
def test_every_action_has_a_handler_everywhere() -> None:
    code = (
        "import json, pathlib, sys, runner.control.client as client\n"
        "from runner.control.protocol import RequestError\n"
        "for name in sys.argv[2:]:\n"
        "    try:\n        client.send_request(pathlib.Path(sys.argv[1]), name, {})\n"
        "    except RequestError as error:\n        assert 'no action' not in error.message, name\n"
        "    except (KeyError, TypeError):\n        pass\n"
    )
    names = ["add", "cancel", "move", "pause", "prune", "remove", "retry", "score"]
    names += ["set_reference_answers"]
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-c", code, f"{folder}/q.db", *names]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_move_overrides_priorities(store: Store, sweeps: list[int]) -> None:
    x, y, z = sweeps
    store.update("sweeps", y, {"priority": 5})
    store.update("sweeps", z, {"priority": -5})

    def sequence() -> list[int]:
        return list(dict.fromkeys(sweep for sweep, _ in order(store)))

    assert sequence() == [y, x, z]
    ask(store, "move", "sweep", z, to="first")
    assert sequence() == [z, y, x]
    ask(store, "move", "sweep", z, to="last")
    assert sequence() == [y, x, z]
    ask(store, "move", "sweep", z, to="before", before=y)
    assert sequence() == [z, y, x]


def test_sweep_after_a_removed_sweep_is_refused_without_leftovers(
    store: Store, sweeps: list[int], tmp_path: Path
) -> None:
    copy = tmp_path / "staged.db"
    store.connection.execute("VACUUM INTO ?", [str(copy)])
    with sqlite3.connect(copy) as other:
        other.execute("UPDATE sweeps SET uid = 'another' WHERE id = 1")
    other.close()
    arguments = {"staging_path": str(copy), "uid": "another", "after_sweep_id": 99}
    arguments |= {"label": None, "priority": 0, "not_before": None}
    with pytest.raises(RequestError, match="not there any more"):
        execute(store, Request("add", arguments))
    assert len(list(store.db.query("SELECT * FROM sweeps"))) == 3


def test_started_sweep_is_not_removed(store: Store, sweeps: list[int]) -> None:
    (variant, *_) = Queue(store.connection, sweeps[0]).ready(utc_now())
    store.start_worker(variant.id, Path("log"), 1)
    with pytest.raises(RequestError, match="has started"):
        ask(store, "remove", "sweep", sweeps[0])


def test_finished_sweep_is_not_paused_and_its_retry_starts_at_once(
    store: Store, sweeps: list[int]
) -> None:
    ask(store, "pause", "sweep", sweeps[0])
    ask(store, "pause", "job", 1)
    ask(store, "cancel", "sweep", sweeps[0])
    assert ask(store, "pause", "sweep", sweeps[0])[0] == {"changed": 0}
    assert ask(store, "retry", "sweep", sweeps[0])[0] == {"queued": 6}
    assert order(store)[0] == (sweeps[0], "one")
    assert first_job(store, 1) == 1


def test_retry_queues_the_jobs_of_an_interrupted_run(store: Store, sweeps: list[int]) -> None:
    store.update("sweeps", sweeps[0], {"in_queue": 0, "state": "interrupted"})
    assert ask(store, "retry", "sweep", sweeps[0])[0] == {"queued": 6}
    assert order(store)[0] == (sweeps[0], "one")
    assert ask(store, "retry", "sweep", sweeps[0])[0] == {"queued": 0}

"""A sweep on a server that is busy, restarting, loading or gone: no job is lost."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.database.score_writer import score_batch, store_reference
from runner.database.store import Store
from runner.supervisor import server_away
from runner.supervisor.supervisor import Supervisor
from schemas import stream
from tests.helpers.openai_manners import PNG, Expected, Manner, serving
from tests.helpers.openai_manners.busy import LOADING, goes_away, rate_limited
from tests.helpers.openai_manners.manner import (
    SAID,
    STOP,
    delta,
    during,
    in_turn,
    polite,
    reply,
    usage,
)
from tests.helpers.openai_manners.manner import stream as stream_pieces
from tests.helpers.scripted_sweep import Outcome

IMAGES = 12
Served = Callable[..., Outcome]


@pytest.fixture
def served(
    store: Store, queued: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Served:
    """Runs a sweep of some images on a real worker and a stand-in server."""
    monkeypatch.setattr(server_away, "FIRST_REST_S", 0.2)
    for number in range(IMAGES):
        (tmp_path / f"{number:02}.png").write_bytes(PNG)

    def run(url: str, images: int = IMAGES, **limits: Any) -> Outcome:
        model = {"id": "manner:it", "engine": "openai", "url": url}
        names = [f"./{number:02}.png" for number in range(images)]
        number = queued([], ["What is it?"], tried=[model], images=names, limits=limits)
        events: list[stream.StreamEvent] = []
        state = Supervisor(store, events.append).run_sweep(number)
        rows = list(store.db.query("SELECT * FROM runs ORDER BY id"))
        workers = list(store.db.query("SELECT * FROM workers ORDER BY id"))
        return Outcome(state, rows, workers, events, store)

    return run


def manner(**behaviour: Any) -> Manner:
    return Manner(**{"name": "it", "question": polite, "expected": Expected()} | behaviour)


def jobs_ok(done: Outcome) -> int:
    return done.store.db.execute(
        "SELECT count(*) FROM jobs JOIN runs ON runs.id = latest_run_id WHERE outcome = 'ok'"
    ).fetchone()[0]


def events(done: Outcome, kind: type) -> list[Any]:
    return [event for event in done.emitted if isinstance(event, kind)]


def test_rate_limited_server_with_five_slots_completes_all_jobs(served: Served) -> None:
    limit = rate_limited(5, 2)
    with serving({"it": manner(question=limit, probe=limit)}) as server:
        done = served(server.url("it"))
    assert [row["outcome"] for row in done.rows] == ["ok"] * IMAGES
    waited = [row for row in done.rows if row["waited_s"]]
    assert waited
    assert all("waited" in row["notes"] and "429" in row["notes"] for row in waited)
    reasons = {event.reason for event in events(done, stream.WorkerWaiting)}
    assert reasons == {"The server answered 429: Rate limit reached", None}
    assert all(row["latency_s"] < 1.5 for row in done.rows)  # the wait is not the answer's


@pytest.mark.slow
def test_server_restart_loses_no_job(served: Served) -> None:
    restart = in_turn(polite, polite, goes_away(4))
    with serving({"it": manner(question=restart)}) as server:
        done = served(server.url("it"), server_wait_s=0.5, retries=0)
    assert done.state == "done"
    assert jobs_ok(done) == IMAGES
    requeued = [row for row in done.rows if row["requeued"]]
    assert requeued
    assert {row["error_class"] for row in requeued} == {"network"}
    assert len(done.rows) == IMAGES + len(requeued)
    assert events(done, stream.ModelResting)
    assert {row["waiting_for"] for row in done.workers} == {None}
    away = done.store.db.execute("SELECT away_since FROM sweep_models").fetchone()[0]
    assert away is None


def test_short_server_restart_keeps_the_worker(served: Served) -> None:
    restart = in_turn(polite, polite, goes_away(2))
    with serving({"it": manner(question=restart)}) as server:
        done = served(server.url("it"))
    assert [row["outcome"] for row in done.rows] == ["ok"] * IMAGES
    assert len(done.workers) == 1
    assert max(row["waited_s"] or 0 for row in done.rows) > 1


def test_loading_server_is_waited_for_within_load_s(served: Served) -> None:
    loading = during(4, reply(503, LOADING))
    with serving({"it": manner(probe=loading)}) as server:
        done = served(server.url("it"), images=2, server_wait_s=0.5, retries=0, load_s=120)
    assert [row["outcome"] for row in done.rows] == ["ok"] * 2
    (worker,) = done.workers
    assert worker["waited_s"] > 1
    assert any("loading" in note for note in json.loads(worker["notes"]))


def test_server_that_never_finishes_loading_times_out_at_load_s(served: Served) -> None:
    with serving({"it": manner(probe=reply(503, LOADING))}) as server:
        done = served(server.url("it"), images=2, retries=0, load_s=3)
    assert [row["outcome"] for row in done.rows] == ["timeout"] * 2
    assert "load_s" in done.rows[0]["message"]
    assert "503: Loading model" in done.rows[0]["message"]


@pytest.mark.slow
def test_unreachable_server_is_quarantined(served: Served) -> None:
    gone = in_turn(polite, goes_away(None))
    with serving({"it": manner(question=gone)}) as server:
        done = served(server.url("it"), images=4, server_wait_s=0.5, server_away_s=2, retries=0)
    assert done.state == "done"
    assert jobs_ok(done) == 1
    last = done.rows[-3:]
    assert [(row["outcome"], row["error_class"]) for row in last] == [("error", "network")] * 3
    assert [row["requeued"] for row in last] == [0] * 3
    assert "connection refused" in last[-1]["message"]


def test_wrong_server_address_fails_quickly(served: Served) -> None:
    with socket.socket() as taken:  # bound, not listening: no other process can take the port
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        done = served(url, images=2, retries=0)
    assert [row["error_class"] for row in done.rows] == ["network"] * 2
    assert len(done.workers) == 1
    assert not events(done, stream.ModelResting)


def test_excessive_retry_after_delays_the_model(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_away, "LONGEST_REST_S", 0.5)
    refuse = reply(429, {"error": "busy"}, Retry_After="86400000")
    with serving({"it": manner(question=in_turn(polite, refuse))}) as server:
        done = served(server.url("it"), images=3, retries=0)
    assert jobs_ok(done) == 3
    assert [row["requeued"] for row in done.rows] == [0, 1, 0, 0]
    (resting,) = events(done, stream.ModelResting)
    assert "Retry-After" in resting.reason


def test_text_of_an_answer_that_ignored_the_image_is_stored(served: Served) -> None:
    blind = stream_pieces(*SAID, delta(finish="stop"), usage(12, 7), "[DONE]")
    with serving({"it": manner(question=blind)}) as server:
        done = served(server.url("it"), images=1, retries=0)
    (row,) = done.rows
    assert (row["outcome"], row["error_class"]) == ("error", "image_ignored")
    assert (row["text"], row["raw_text"]) == ("A red circle.", "A red circle.")


def test_text_before_a_stall_is_stored(served: Served) -> None:
    def stalls(exchange: Any) -> None:
        exchange.start()
        exchange.piece(delta("A red"))
        exchange.piece(delta(" cir"))
        exchange.stall()

    with serving({"it": manner(question=stalls)}) as server:
        done = served(server.url("it"), images=1, retries=0, silence_s=4)
    (row,) = done.rows
    assert (row["outcome"], row["raw_text"]) == ("timeout", "A red cir")


def test_reasoning_is_stored_separately(served: Served) -> None:
    output = stream_pieces(delta(reasoning_content="Round."), *SAID, *STOP)
    with serving({"it": manner(question=output)}) as server:
        done = served(server.url("it"), images=1)
    (row,) = done.rows
    assert (row["text"], row["reasoning"]) == ("A red circle.", "Round.")


@pytest.mark.parametrize(
    "inline", ["<think>Round.</think>", "Round.\n</think>\n\n", "<think>\nRound.\n</think>\n\n"]
)
def test_reasoning_scores_the_same_inline_and_apart(served: Served, inline: str) -> None:
    apart = stream_pieces(delta(reasoning_content="Round."), *SAID, *STOP)
    within = stream_pieces(delta(inline), *SAID, *STOP)
    with serving({"it": manner(question=in_turn(apart, within))}) as server:
        done = served(server.url("it"), images=2)
    connection = done.store.connection
    for row in done.rows:
        store_reference(connection, row["job_id"], ["A red circle"], ["exact", "contains"])
    score_batch(connection, 1, 0)
    texts = [(row["text"], row["reasoning"]) for row in done.rows]
    assert texts == [("A red circle.", "Round.")] * 2
    assert done.rows[1]["raw_text"] == f"{inline}A red circle."
    scores = list(done.store.db.execute("SELECT run_id, metric, value FROM scores ORDER BY 2, 1"))
    assert [tuple(row)[1:] for row in scores] == [("contains", 1), ("contains", 1),
                                                  ("exact", 1), ("exact", 1)]  # fmt: skip

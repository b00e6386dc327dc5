"""The supervisor against real processes that really misbehave."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from pathlib import Path

import psutil
import pytest

from runner.supervisor.supervisor import Supervisor
from schemas import stream
from tests.helpers.scripted_sweep import FakeLauncher, Sweeper

QUICK = {"load_s": 600, "first_token_s": 2, "run_s": 4, "silence_s": 2, "retries": 0}


def living_children() -> list[psutil.Process]:
    """Every process below this one that is not a zombie."""
    mine = psutil.Process().children(recursive=True)
    return [p for p in mine if p.status() != psutil.STATUS_ZOMBIE]


def marked_processes(marker: str) -> list[int]:
    """Processes anywhere on the machine whose command line holds a word."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if marker in " ".join(process.info["cmdline"] or []):
            found.append(process.pid)
    return found


def test_every_job_gets_a_row_and_the_model_is_loaded_once(sweep: Sweeper) -> None:
    done = sweep(["good", "better"], ["a", "b", "c"], repeats=2)
    assert done.state == "done"
    assert [row["outcome"] for row in done.rows] == ["ok"] * 12
    assert {row["text"] for row in done.rows} == {"you said a", "you said b", "you said c"}
    assert [w["number"] for w in done.workers] == [1, 2]
    first = done.rows[0]
    assert (first["input_tokens"], first["image_tokens"], first["output_tokens"]) == (7, 3, 2)
    assert (first["latency_s"], first["ttft_s"], first["load_s"]) == (0.2, 0.1, 0.25)
    assert first["peak_rss_bytes"] > 1_000_000
    assert done.workers[0]["exit_code"] == 0
    assert done.workers[0]["killed_for"] is None
    assert not living_children()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "outcome", "phase", "killed_for"),
    [
        ("hang", "timeout", "prefill", "first_token_s"),
        ("spin", "timeout", "prefill", "first_token_s"),
        ("stop itself", "timeout", "prefill", "first_token_s"),
        ("hang midway", "timeout", "generate", "silence_s"),
        ("talk for ever", "timeout", "generate", "run_s"),
        ("segfault", "crashed", "generate", None),
        ("abort", "crashed", "prefill", None),
        ("killed from outside", "crashed", "prefill", None),
        ("exit 0", "crashed", "prefill", None),
        ("exit 7", "crashed", "prefill", None),
        ("torn line", "crashed", "prefill", None),
        ("noise", "error", "prefill", "protocol"),
        ("error", "error", "generate", None),
        ("out of memory", "out_of_memory", "generate", None),
    ],
)
def test_fault_fails_only_its_own_run(
    sweep: Sweeper, prompt: str, outcome: str, phase: str, killed_for: str | None
) -> None:
    done = sweep(["good"], ["before", prompt, "after"], limits=QUICK)
    rows = done.by_prompt()
    assert (rows[prompt]["outcome"], rows[prompt]["phase"]) == (outcome, phase)
    worker = done.workers[0]
    assert worker["killed_for"] == killed_for
    if killed_for:  # by the shim, at once: not by giving up, whereupon the kernel does it
        assert (worker["survivors"], worker["exit_signal"]) == (0, "SIGKILL")
        assert worker["kill_s"] < 5
    assert rows["before"]["outcome"] == rows["after"]["outcome"] == "ok"
    assert rows["after"]["text"] == "you said after"
    assert not living_children()


def test_partial_text_of_a_failed_run_is_stored(sweep: Sweeper) -> None:
    done = sweep(["good"], ["hang midway", "segfault"], limits=QUICK)
    rows = done.by_prompt()
    assert rows["hang midway"]["raw_text"] == "partial words"
    assert rows["hang midway"]["ttft_s"] == 0.1
    assert rows["hang midway"]["latency_s"] is None
    assert rows["segfault"]["raw_text"] == "last words"
    assert "SIGSEGV" in rows["segfault"]["message"]


def test_kill_stores_the_stack_of_the_hang(sweep: Sweeper) -> None:
    done = sweep(["good"], ["hang"], limits=QUICK)
    (worker,) = done.workers
    assert "in forever" in worker["stack"]
    assert worker["exit_signal"] == "SIGKILL"
    assert 0 < worker["kill_s"] < 5


def test_no_descendant_survives_a_kill(sweep: Sweeper) -> None:
    marker = f"family-of-{os.getpid()}"  # others may run this test on the same machine
    done = sweep(["good"], [f"family {marker}", "after"], limits=QUICK)
    assert done.by_prompt()[f"family {marker}"]["outcome"] == "timeout"
    assert done.by_prompt()["after"]["outcome"] == "ok"
    assert done.workers[0]["killed_processes"] >= 5
    assert not marked_processes(marker)
    assert not living_children()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "outcome", "phase"),
    [
        ("hang-in-load", "timeout", "load"),
        ("hang-in-download", "timeout", "download"),
        ("segfault-in-load", "crashed", "start"),
        ("exit-in-load", "crashed", "start"),
        ("error-in-load", "error", "start"),
    ],
)
def test_failed_load_fails_only_the_jobs_of_its_model(
    sweep: Sweeper, model: str, outcome: str, phase: str
) -> None:
    limits = QUICK | {"load_s": 4, "download_s": 4}
    done = sweep([model, "good"], ["a", "b"], limits=limits)
    bad = [row for row in done.rows if row["model"] == model]
    assert [(row["outcome"], row["phase"]) for row in bad] == [(outcome, phase)] * 2
    assert all(row["message"] for row in bad)
    assert [row["outcome"] for row in done.rows if row["model"] == "good"] == ["ok", "ok"]
    assert len(done.workers) == 2


def test_reported_load_error_keeps_its_class_and_hint(sweep: Sweeper) -> None:
    done = sweep(["error-in-load"], ["a"])
    (row,) = done.rows
    assert row["error_class"] == "missing_package"
    assert row["hint"] == "pip install it"
    assert done.workers[0]["exit_code"] == 3


def test_worker_output_goes_to_a_bounded_log_not_the_stream(sweep: Sweeper) -> None:
    done = sweep(["good"], ["flood", "after"])
    assert [row["outcome"] for row in done.rows] == ["ok", "ok"]
    log = Path(done.workers[0]["log_path"])
    sizes = [path.stat().st_size for path in log.parent.glob(log.name + "*")]
    assert sum(sizes) <= 17_000_000
    assert b"garbage" in log.read_bytes()


def test_invalid_events_are_noted_and_ignored(sweep: Sweeper) -> None:
    done = sweep(["good"], ["nonsense", "answer another", "answer twice", "after"])
    assert [row["outcome"] for row in done.rows] == ["ok"] * 4
    assert done.by_prompt()["answer twice"]["text"] == "fine"
    assert done.by_prompt()["answer another"]["text"] == "fine"
    assert "not JSON" in done.workers[0]["notes"]
    assert len(done.workers) == 1


def test_memory_limit_is_enforced(sweep: Sweeper) -> None:
    limits = QUICK | {"memory_bytes": 300_000_000, "first_token_s": 600, "run_s": 600}
    done = sweep(["good"], ["grow", "after"], limits=limits)
    rows = done.by_prompt()
    assert rows["grow"]["outcome"] == "memory_limit"
    assert rows["grow"]["peak_rss_bytes"] > 300_000_000
    assert rows["after"]["outcome"] == "ok"
    assert rows["after"]["peak_rss_bytes"] < 300_000_000


def test_model_that_keeps_losing_workers_is_quarantined(sweep: Sweeper) -> None:
    limits = QUICK | {"worker_failures": 2}
    done = sweep(["good"], ["exit 7", "abort", "a", "b"], limits=limits)
    assert [row["outcome"] for row in done.rows] == ["crashed", "crashed", "skipped", "skipped"]
    assert "2 workers were lost in a row" in done.rows[-1]["message"]


def test_successful_answer_resets_the_failure_count(sweep: Sweeper) -> None:
    limits = QUICK | {"worker_failures": 2}
    done = sweep(["good"], ["exit 7", "a", "abort", "b"], limits=limits)
    assert [row["outcome"] for row in done.rows] == ["crashed", "ok", "crashed", "ok"]


def test_worker_that_does_not_exit_is_killed(sweep: Sweeper, monkeypatch) -> None:
    monkeypatch.setattr("runner.supervisor.deadlines.STOP_S", 0.3)
    done = sweep(["hang-at-exit"], ["a"])
    assert done.rows[0]["outcome"] == "ok"
    assert done.workers[0]["killed_for"] == "stop_s"


def test_broken_image_fails_its_jobs_without_a_load(sweep: Sweeper, tmp_path: Path) -> None:
    for name in ("broken.png", "fine.png"):
        (tmp_path / name).touch()
    done = sweep(["good", "better"], ["a"], images=["*.png"])
    broken, fine = done.rows[:2]
    assert (broken["outcome"], broken["phase"]) == ("error", "prepare")
    assert (broken["error_class"], broken["message"]) == ("bad_image", "broken.png is broken")
    assert broken["worker_id"] is None
    assert (fine["outcome"], fine["image"]) == ("ok", "fine.png")
    assert len(done.workers) == 2


def test_notes_of_an_image_are_notes_of_its_runs(sweep: Sweeper, tmp_path: Path) -> None:
    for name in ("fine.png", "scratched.png"):
        (tmp_path / name).touch()
    done = sweep(["good"], ["a", "error"], images=["*.png"])
    notes = {
        (row["name"], row["text"]): json.loads(row["notes"] or "[]")
        for row in done.store.db.query(
            "SELECT runs.notes, images.name, prompts.text FROM runs JOIN jobs ON jobs.id = job_id"
            " JOIN prompts ON prompts.id = prompt_id JOIN job_images USING (job_id)"
            " JOIN images ON images.id = image_id"
        )
    }
    for prompt in ("a", "error"):
        assert notes["fine.png", prompt] == []
        assert notes["scratched.png", prompt] == [
            "image scratched.png: damaged and left out: EXIF data"
        ]
    stored = done.store.db.query("SELECT name, notes FROM images ORDER BY name")
    assert [(row["name"], row["notes"]) for row in stored] == [
        ("fine.png", None),
        ("scratched.png", '["damaged and left out: EXIF data"]'),
    ]


def test_model_with_only_broken_images_is_never_loaded(sweep: Sweeper, tmp_path: Path) -> None:
    (tmp_path / "broken.png").touch()
    assert sweep(["good"], ["a"], images=["broken.png"]).workers == []


def test_excluded_jobs_have_rows_with_a_reason(sweep: Sweeper, tmp_path: Path) -> None:
    rule = {"model": "good", "reason": "known to fail on this"}
    done = sweep(["good", "better"], ["a"], exclude=[rule])
    assert [row["outcome"] for row in done.rows] == ["skipped", "ok"]
    assert done.rows[0]["message"] == "known to fail on this"
    assert len(done.workers) == 1


def test_events_are_emitted_after_commit(store, queued) -> None:
    number = queued(["good"], ["a", "exit 7", "b"])
    seen = []

    def emit(event: stream.StreamEvent) -> None:
        if isinstance(event, stream.RunFinished):
            other = sqlite3.connect(store.path)
            row = other.execute("SELECT outcome FROM runs WHERE id = ?", [event.run]).fetchone()
            seen.append((row[0], event.outcome))
            other.close()

    Supervisor(store, emit, FakeLauncher()).run_sweep(number)
    assert seen == [("ok", "ok"), ("crashed", "crashed"), ("ok", "ok")]


def test_changed_greedy_text_gets_a_note(sweep: Sweeper) -> None:
    done = sweep(["good"], ["steady", "fickle"], repeats=3)
    notes = {
        (row["text"], row["repeat"]): row["notes"]
        for row in done.store.db.query(
            "SELECT runs.notes, prompts.text, jobs.repeat FROM runs"
            " JOIN jobs ON jobs.id = job_id JOIN prompts ON prompts.id = prompt_id"
        )
    }
    changed = {key for key, value in notes.items() if value and "nondeterministic" in value}
    assert changed == {("fickle", 2), ("fickle", 3)}


def test_changed_sampled_text_gets_no_note(sweep: Sweeper) -> None:
    done = sweep(["good"], ["fickle"], repeats=2, generation={"do_sample": True})
    assert {row["notes"] for row in done.store.db.query("SELECT notes FROM runs")} == {None}


def interrupting(
    store, number: int, signals: list[int], when: type, prompt: str | None = None
) -> tuple[str, list]:
    """Runs a sweep in this thread, and sends it signals once an event of a type was emitted.

    Each further one is sent after the previous one was handled: simultaneous ones merge.
    """
    emitted: list[stream.StreamEvent] = []
    kinds = [when, *[stream.Interrupting] * (len(signals) - 1)]

    def emit(event: stream.StreamEvent) -> None:
        emitted.append(event)
        if (
            kinds
            and isinstance(event, kinds[0])
            and prompt in (None, getattr(event, "prompt", prompt))
        ):
            del kinds[0]
            threading.Thread(target=os.kill, args=(os.getpid(), signals.pop(0))).start()

    return Supervisor(store, emit, FakeLauncher()).run_sweep(number), emitted


def outcomes(store) -> list[str | None]:
    return [r["outcome"] for r in store.db.query("SELECT outcome FROM results ORDER BY job_id")]


def test_first_ctrl_c_lets_the_run_finish(store, queued, tmp_path: Path) -> None:
    number = queued(["good"], [f"until {tmp_path / 'gate'}", "b"])
    interrupt = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))

    def emit(event: stream.StreamEvent) -> None:
        if isinstance(event, stream.RunStarted):
            interrupt.start()
        if isinstance(event, stream.Interrupting):
            (tmp_path / "gate").touch()

    state = Supervisor(store, emit, FakeLauncher()).run_sweep(number)
    assert state == "interrupted"
    assert outcomes(store) == ["ok", None]
    assert not living_children()


def test_second_ctrl_c_stops_at_once(store, queued) -> None:
    number = queued(["good"], ["a", "hang", "b"])
    both = [signal.SIGINT, signal.SIGINT]
    state, emitted = interrupting(store, number, both, stream.RunStarted, prompt="hang")
    assert state == "interrupted"
    assert outcomes(store) == ["ok", "interrupted", None]
    assert isinstance(emitted[-1], stream.SweepFinished)
    assert not living_children()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_term_and_hup_stop_at_once(store, queued, number: int) -> None:
    sweep = queued(["good"], ["a", "hang", "b"])
    state, _ = interrupting(store, sweep, [number], stream.RunFinished)
    assert state == "interrupted"
    assert outcomes(store)[0] == "ok"
    assert outcomes(store)[2] is None
    assert not living_children()


def test_ctrl_c_does_not_wait_for_a_load(store, queued) -> None:
    number = queued(["hang-in-load"], ["a"])
    state, _ = interrupting(store, number, [signal.SIGINT], stream.WorkerStarted)
    assert state == "interrupted"
    assert outcomes(store) == [None]

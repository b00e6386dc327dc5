"""Outcome of a run from its exit status or error."""

from __future__ import annotations

import signal

import pytest

from runner.supervisor.outcome import WorkerExit, outcome_of_error, outcome_of_exit
from schemas.events import Error


@pytest.mark.parametrize(
    ("ending", "outcome", "words"),
    [
        (WorkerExit(killed_for="run_s", message="too long", status=-9), "timeout", "too long"),
        (WorkerExit(killed_for="memory_bytes", message="fat", status=-9), "memory_limit", "fat"),
        (WorkerExit(killed_for="interrupted", message="user", status=-9), "interrupted", "user"),
        (WorkerExit(killed_for="protocol", message="noise", status=-9), "error", "noise"),
        (WorkerExit(status=-signal.SIGKILL), "crashed", "SIGKILL"),
        (WorkerExit(status=-signal.SIGSEGV), "crashed", "SIGSEGV"),
        (WorkerExit(status=0), "crashed", "exit status 0"),
        (WorkerExit(status=7), "crashed", "exit status 7"),
        (WorkerExit(status=-250), "crashed", "signal 250"),
        (WorkerExit(), "crashed", "vanished"),
    ],
)
def test_exit_status_gives_the_outcome(ending: WorkerExit, outcome: str, words: str) -> None:
    row = outcome_of_exit(ending, "generate")
    assert row["outcome"] == outcome
    assert row["phase"] == "generate"
    assert words in row["message"]


@pytest.mark.parametrize(
    ("error_class", "outcome"),
    [
        ("out_of_memory", "out_of_memory"),
        ("unsupported", "unsupported"),
        ("excluded", "skipped"),
        ("bad_image", "error"),
    ],
)
def test_error_classes_give_the_outcome(error_class: str, outcome: str) -> None:
    error = Error(phase="generate", error_class=error_class, exception="E", message="m", run=1)
    row = outcome_of_error(error)
    assert (row["outcome"], row["error_class"]) == (outcome, error_class)

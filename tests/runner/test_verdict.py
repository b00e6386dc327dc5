"""What a run's end means."""

from __future__ import annotations

import signal

import pytest

from runner.work.verdict import Ending, of_ending, of_error
from schemas.events import Error


@pytest.mark.parametrize(
    ("ending", "outcome", "words"),
    [
        (Ending(killed_for="run_s", message="too long", status=-9), "timeout", "too long"),
        (Ending(killed_for="memory_bytes", message="fat", status=-9), "memory_limit", "fat"),
        (Ending(killed_for="interrupted", message="user", status=-9), "interrupted", "user"),
        (Ending(killed_for="protocol", message="noise", status=-9), "error", "noise"),
        (Ending(status=-signal.SIGKILL), "crashed", "SIGKILL"),
        (Ending(status=-signal.SIGSEGV), "crashed", "SIGSEGV"),
        (Ending(status=0), "crashed", "exit status 0"),
        (Ending(status=7), "crashed", "exit status 7"),
        (Ending(status=-250), "crashed", "signal 250"),
        (Ending(), "crashed", "vanished"),
    ],
)
def test_endings(ending: Ending, outcome: str, words: str) -> None:
    row = of_ending(ending, "generate")
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
def test_errors(error_class: str, outcome: str) -> None:
    error = Error(phase="generate", error_class=error_class, exception="E", message="m", run=1)
    row = of_error(error)
    assert (row["outcome"], row["error_class"]) == (outcome, error_class)

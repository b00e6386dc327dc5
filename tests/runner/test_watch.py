"""Deadlines by phase, with a clock that is only a number."""

from __future__ import annotations

import pytest

from runner.work.watch import STOP_S, Watch
from schemas.sweep import Limits

LIMITS = Limits(
    download_s=100, load_s=10, first_token_s=5, run_s=20, silence_s=3, memory_bytes=1000
)


@pytest.fixture
def watch() -> Watch:
    return Watch(LIMITS, now=0)


def test_a_load_has_its_deadline_and_a_download_its_own(watch: Watch) -> None:
    assert watch.next_deadline() == 10
    watch.enter("download", 4)
    assert watch.next_deadline() == 104
    assert watch.breach(50) is None
    watch.enter("load", 60)
    assert watch.next_deadline() == 70
    breach = watch.breach(70)
    assert breach is not None
    assert (breach.limit, breach.phase) == ("load_s", "load")
    assert "10 s" in breach.message


def test_signs_of_life_do_not_extend_a_load(watch: Watch) -> None:
    watch.enter("load", 1)
    watch.heard(10, progress=True)
    assert watch.breach(11) is not None


def test_the_first_token_may_take_long_without_a_sign_of_life(watch: Watch) -> None:
    watch.enter("idle", 1)
    watch.enter("prefill", 2)
    assert watch.breach(6.9) is None
    breach = watch.breach(7)
    assert breach is not None
    assert breach.limit == "first_token_s"


def test_while_generating_only_text_counts_as_progress(watch: Watch) -> None:
    watch.enter("prefill", 0)
    watch.enter("generate", 1)
    watch.heard(3, progress=True)
    watch.heard(5, progress=False)
    assert watch.breach(5.9) is None
    breach = watch.breach(6)
    assert breach is not None
    assert (breach.limit, breach.phase) == ("silence_s", "generate")


def test_the_whole_run_is_bounded_however_it_talks(watch: Watch) -> None:
    watch.enter("prefill", 0)
    watch.enter("generate", 1)
    for second in range(2, 20):
        watch.heard(second, progress=True)
        assert watch.breach(second) is None
    watch.heard(20, progress=True)
    breach = watch.breach(20)
    assert breach is not None
    assert breach.limit == "run_s"


def test_between_runs_a_heartbeat_is_enough(watch: Watch) -> None:
    watch.enter("idle", 0)
    watch.heard(2.5, progress=False)
    assert watch.breach(5) is None
    assert watch.breach(5.5) is not None


def test_leaving_has_a_deadline(watch: Watch) -> None:
    watch.enter("stop", 5)
    assert watch.next_deadline() == 5 + STOP_S


def test_memory_is_a_limit_in_every_phase(watch: Watch) -> None:
    assert watch.breach(1, rss_bytes=1000) is None
    breach = watch.breach(1, rss_bytes=1001)
    assert breach is not None
    assert (breach.limit, breach.phase) == ("memory_bytes", "start")
